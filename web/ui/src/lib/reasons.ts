import type { Reason } from './types';

/** The reason of an id, with those above it, from the top; empty where the tree does not have it. */
export function pathTo(tree: Reason[], id: string): Reason[] {
  for (const r of tree) {
    if (r.id === id) return [r];
    const below = pathTo(r.children ?? [], id);
    if (below.length > 0) return [r, ...below];
  }
  return [];
}

/** The reasons that a stop may have, in the order of the tree. */
export function leaves(tree: Reason[]): Reason[] {
  return tree.flatMap((r) => (r.children?.length ? leaves(r.children) : [r]));
}

/**
 * What to offer below a node: all leaves where these are few enough for one
 * tap, else the children, each of which is a tap on the way.
 */
export function offers(tree: Reason[], path: readonly string[], most: number): Reason[] {
  let level = tree;
  for (const id of path) level = level.find((r) => r.id === id)?.children ?? [];
  const all = leaves(level);
  return all.length <= most ? all : level;
}
