import { ms } from './format';
import type { Bucket, Signal } from './types';

/** Columns as the chart takes them: seconds, least, greatest, mean. */
export interface Columns {
  x: number[];
  min: (number | null)[];
  max: (number | null)[];
  mean: (number | null)[];
}

/** A bucket without good readings is a hole, not a zero. */
export function columns(buckets: Bucket[]): Columns {
  const c: Columns = { x: [], min: [], max: [], mean: [] };
  for (const b of buckets) {
    const from = ms(b.from);
    const to = ms(b.to);
    if (from == null || to == null) continue;
    c.x.push((from + to) / 2000);
    c.min.push(b.min);
    c.max.push(b.max);
    c.mean.push(b.mean);
  }
  return c;
}

/** The number that a reading puts on the curve; null where there is none. */
export function numeric(s: Signal): number | null {
  if (s.quality === 'bad') return null;
  if (typeof s.value === 'number') return s.value;
  return typeof s.value === 'boolean' ? Number(s.value) : null;
}

/** Puts the newest reading at the end, and lets go what is older than from (seconds). */
export function append(c: Columns, at: number, value: number | null, from: number): void {
  const last = c.x.at(-1);
  if (last !== undefined && at <= last) return;
  c.x.push(at);
  for (const list of [c.min, c.max, c.mean]) list.push(value);
  let drop = 0;
  while (drop < c.x.length && (c.x[drop] ?? 0) < from) drop++;
  for (const list of [c.x, c.min, c.max, c.mean]) list.splice(0, drop);
}

/** Least and greatest of what is drawn, or null where nothing is. */
export function extent(c: Columns): { min: number; max: number } | null {
  let min = Infinity;
  let max = -Infinity;
  for (const v of c.min) if (v != null && v < min) min = v;
  for (const v of c.max) if (v != null && v > max) max = v;
  return min <= max ? { min, max } : null;
}
