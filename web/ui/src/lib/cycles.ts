import { minutes } from './calendar';
import type { CycleVersion, ProductPlan } from './types';

/** A product's ideal cycle on one machine with all its versions, by time. */
export interface Row {
  key: string; // of entries: product/machine
  machine: string;
  versions: CycleVersion[];
}

export function rows(p: ProductPlan): Row[] {
  const all = new Map<string, Row>();
  for (const c of p.cycles) {
    const row = all.get(c.machine) ?? { key: `${p.id}/${c.machine}`, machine: c.machine, versions: [] };
    row.versions.push(c);
    all.set(c.machine, row);
  }
  return [...all.values()];
}

/** The version that holds at an instant. */
export function current(r: Row, at: number): CycleVersion | undefined {
  return r.versions.findLast((v) => v.from == null || Date.parse(v.from) <= at);
}

/** The seconds of a length such as 1.83s or 950ms; null where there is none. */
export function seconds(length: string | null | undefined): number | null {
  if (!length) return null;
  const ms = /^(\d+(?:\.\d+)?)ms$/.exec(length);
  const s = ms ? Number(ms[1]) / 1000 : minutes(length) * 60;
  return Number.isNaN(s) ? null : Math.round(s * 1e6) / 1e6;
}
