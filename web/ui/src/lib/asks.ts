import { ms } from './format';
import type { Line, ShiftInstance, Stop } from './types';

const openAfter = 15; // seconds of planned time after which an open stop is asked about
const worth = 60; // seconds of planned time that a stop must have cost to be asked about afterwards

/** How many seconds of a span are planned: inside a shift and in none of its breaks. */
export function planned(from: number, to: number, shifts: ShiftInstance[]): number {
  let sum = 0;
  const shared = (a: number | null, b: number | null) => Math.max(0, Math.min(to, b ?? to) - Math.max(from, a ?? from));
  for (const s of shifts) {
    sum += shared(ms(s.from), ms(s.to));
    for (const b of s.breaks ?? []) sum -= shared(ms(b.from), ms(b.to));
  }
  return sum / 1000;
}

/** Whether enough of a stop was planned time that its reason matters. */
export function costs(s: Stop, shifts: ShiftInstance[], now: number): boolean {
  return planned(ms(s.from) ?? now, s.open ? now : (ms(s.to) ?? now), shifts) >= (s.open ? openAfter : worth);
}

/** Whether somebody should say why: the machine stood by itself and neither it nor anybody else said why. */
export function unassigned(s: Stop): boolean {
  return s.class === 'stop' && !s.reason && (!s.small || s.open);
}

/**
 * The stops of the running shift that nobody gave a reason, the one to ask
 * about first at the head: the bottleneck's, then what held the bottleneck up,
 * then the others; open ones first, then the newest.
 */
export function asks(line: Line, stops: Stop[], now: number): Stop[] {
  const shift = line.shift;
  if (!shift) return [];
  const causes = new Set(stops.filter((s) => s.machine === line.bottleneck && s.cause).map((s) => s.cause));
  if (line.state.cause) causes.add(line.state.cause);
  const rank = (s: Stop) => (s.machine === line.bottleneck ? 0 : causes.has(s.machine) ? 1 : 2);
  return stops
    .filter((s) => unassigned(s) && costs(s, [shift], now))
    .sort((a, b) => Number(b.open) - Number(a.open) || rank(a) - rank(b) || (ms(b.from) ?? 0) - (ms(a.from) ?? 0));
}
