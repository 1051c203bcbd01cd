import { ms } from './format';
import type { Bucket, Signal } from './types';

/** Columns as the chart takes them: seconds, least, greatest, and the line. Null is a hole. */
export interface Columns {
  x: number[];
  min: (number | null)[];
  max: (number | null)[];
  line: (number | null)[];
}

/** What a measurement must lie within. */
export interface Limits {
  lsl?: number;
  usl?: number;
}

/**
 * The curve of a signal. Readings come when a value changes, so a bucket
 * without any goes on with the value before; only one with bad readings and no
 * good ones is a hole. Whole numbers and switches are drawn as they ended,
 * others by their mean. before is the value with which the span begins.
 */
export function columns(buckets: Bucket[], whole: boolean, before: number | null = null): Columns {
  const c: Columns = { x: [], min: [], max: [], line: [] };
  const put = (x: number, min: number | null, max: number | null, line: number | null) => {
    c.x.push(x);
    c.min.push(min);
    c.max.push(max);
    c.line.push(line);
  };
  const start = ms(buckets[0]?.from);
  if (before != null && start != null && !buckets[0]?.count && !buckets[0]?.bad) put(start / 1000, before, before, before);
  for (const b of buckets) {
    const from = ms(b.from);
    if (from == null || (b.count === 0 && b.bad === 0)) continue;
    put(from / 1000, b.min, b.max, b.count === 0 ? null : whole ? (number(b.last) ?? b.mean) : b.mean);
  }
  return c;
}

function number(v: Bucket['last']): number | null {
  return typeof v === 'number' ? v : typeof v === 'boolean' ? Number(v) : null;
}

/** The number that a reading puts on the curve; null where there is none. */
export function numeric(s: Signal): number | null {
  return s.quality === 'bad' ? null : number(s.value);
}

/**
 * Puts the newest value at the end, and lets go what is older than from
 * (seconds). A value that holds is one point that moves on, and reaches up to
 * the edge; measurements are a point each.
 */
export function append(c: Columns, at: number, value: number | null, from: number, holds: boolean): void {
  const n = c.x.length;
  if (n > 0 && at <= (c.x[n - 1] ?? 0)) return;
  const lists = [c.min, c.max, c.line];
  if (holds && n > 1 && lists.every((l) => l[n - 1] === value) && c.line[n - 2] === value) {
    c.x[n - 1] = at;
  } else {
    c.x.push(at);
    for (const l of lists) l.push(value);
  }
  let drop = 0;
  while (drop < c.x.length && (c.x[holds ? drop + 1 : drop] ?? Infinity) <= from) drop++;
  for (const l of [c.x, ...lists]) l.splice(0, drop);
  if (holds && (c.x[0] ?? from) < from) c.x[0] = from;
}

/** Least and greatest of what is drawn, or null where nothing is. */
export function extent(c: Columns): { min: number; max: number } | null {
  let min = Infinity;
  let max = -Infinity;
  for (const v of c.min) if (v != null && v < min) min = v;
  for (const v of c.max) if (v != null && v > max) max = v;
  return min <= max ? { min, max } : null;
}

/** In each place the value outside of the limits, the greater where both are. */
export function outside(c: Columns, limits: Limits): (number | null)[] {
  return c.x.map((_, i) => {
    const [low, high] = [c.min[i], c.max[i]];
    if (high != null && limits.usl != null && high > limits.usl) return high;
    return low != null && limits.lsl != null && low < limits.lsl ? low : null;
  });
}
