import { ms } from './format';
import { look, type Look } from './states';
import type { Class, Machine, Segment, ShiftInstance } from './types';

/** A piece of a machine's row, in milliseconds. */
export interface Piece {
  from: number;
  to: number;
  look: Look;
  class: Class;
  state?: string;
  fault?: string;
  open: boolean;
}

function pieceOf(s: Segment): Piece | null {
  const from = ms(s.from);
  const to = ms(s.to);
  return from == null || to == null || to <= from ? null : { from, to, look: look(s.class, s.small ?? false), class: s.class, state: s.state, fault: s.fault, open: s.open ?? false };
}

/** Lays the calendar over a piece: outside shifts and in breaks it is not scheduled, unless the machine ran. */
function lay(p: Piece, shifts: ShiftInstance[]): Piece[] {
  if (p.class === 'run' || shifts.length === 0) return [p];
  const parts: Piece[] = [];
  let from = p.from;
  const put = (until: number, rest: boolean) => {
    const to = Math.min(until, p.to);
    if (to <= from) return;
    const open = p.open && to === p.to;
    parts.push(rest ? { from, to, look: 'not_scheduled', class: 'not_scheduled', open } : { ...p, from, to, open });
    from = to;
  };
  for (const s of shifts.toSorted((a, b) => (ms(a.from) ?? 0) - (ms(b.from) ?? 0))) {
    put(ms(s.from) ?? 0, true);
    for (const b of s.breaks ?? []) {
      put(ms(b.from) ?? 0, false);
      put(ms(b.to) ?? 0, true);
    }
    put(ms(s.to) ?? 0, false);
  }
  put(p.to, true);
  return parts;
}

/**
 * The pieces of one row inside [from, to): what was read, carried on by what
 * the machine says now, under the calendar. Time that no piece covers is
 * unknown and becomes one.
 */
export function row(segments: Segment[], now: Machine | undefined, from: number, to: number, shifts: ShiftInstance[] = []): Piece[] {
  let pieces = segments.map(pieceOf).filter((p) => p !== null);
  const since = ms(now?.since);
  const through = ms(now?.through);
  if (now && since != null && through != null && through > since) {
    const last = pieces.at(-1);
    if (!last || since >= last.from) {
      pieces = pieces.filter((p) => p.from < since).map((p) => (p.to > since ? { ...p, to: since, open: false } : p));
      pieces.push(...lay({ from: since, to: through, look: look(now.class, now.small), class: now.class, state: now.state, fault: now.fault, open: true }, shifts));
    }
  }
  const whole: Piece[] = [];
  let done = from;
  const gap = (until: number) => {
    if (until - done >= 1000) whole.push({ from: done, to: until, look: 'unknown', class: 'unknown', open: false });
  };
  for (const p of pieces) {
    if (p.to <= from || p.from >= to) continue;
    gap(p.from);
    whole.push(p);
    done = Math.max(done, p.to);
  }
  gap(Math.min(to, Math.max(done, through ?? to)));
  return whole;
}

/** The piece at a time, or the nearest one within reach: fingers are wide. */
export function nearest(pieces: Piece[], at: number, reach: number): Piece | null {
  let best: Piece | null = null;
  let off = reach;
  for (const p of pieces) {
    const d = at < p.from ? p.from - at : at >= p.to ? at - p.to : 0;
    // Where a finger covers several, the one that is not running is meant.
    const cost = d + (p.look === 'run' ? reach / 2 : 0);
    if (cost < off || (d === 0 && !best)) {
      best = p;
      off = Math.min(off, cost);
    }
  }
  return best;
}

/** Round times to mark on an axis. */
export function ticks(from: number, to: number, most: number): number[] {
  const steps = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440].map((m) => m * 60_000);
  const step = steps.find((s) => (to - from) / s <= most) ?? 86_400_000;
  const out: number[] = [];
  for (let t = Math.ceil(from / step) * step; t < to; t += step) out.push(t);
  return out;
}

