import { costs, unassigned } from './asks';
import { ms } from './format';
import type { Entry, ShiftInstance, Stop } from './types';

export type Which = 'open' | 'stops' | 'all';

/** Whether somebody should still say why. */
export function lacks(s: Stop, shifts: ShiftInstance[], now: number): boolean {
  return unassigned(s) && costs(s, shifts, now);
}

/** The stops of a list that are asked for, those without a reason first, then the newest. */
export function chosen(all: Stop[], which: Which, machine: string, missing: (s: Stop) => boolean): Stop[] {
  return all
    .filter((s) => !machine || s.machine === machine)
    .filter((s) => which === 'all' || missing(s) || (which === 'stops' && (!s.small || !!s.comment) && s.class !== 'starved' && s.class !== 'blocked'))
    .sort((a, b) => Number(missing(b)) - Number(missing(a)) || (ms(b.from) ?? 0) - (ms(a.from) ?? 0));
}

/** How long a stop is, in seconds. */
export function seconds(s: Stop, now: number): number {
  return ((s.open ? now : (ms(s.to) ?? now)) - (ms(s.from) ?? now)) / 1000;
}

/** The machine and the time of a key such as machine@time. */
export function cut(key: string): { machine: string; at: number } | null {
  const i = key.indexOf('@');
  const at = Date.parse(key.slice(i + 1));
  return i <= 0 || Number.isNaN(at) ? null : { machine: key.slice(0, i), at };
}

/** What was said of any instant of a stop, its undos included, the newest first. */
export function about(all: Entry[], s: Stop, now: number): Entry[] {
  const from = ms(s.whole?.from ?? s.from) ?? 0;
  const to = s.open ? now : (ms(s.whole?.to ?? s.to) ?? 0);
  return all
    .filter((e) => {
      const key = cut(e.key);
      if (key?.machine !== s.machine) return false;
      const until = e.kind === 'state' ? Date.parse((e.value as { to?: string } | null)?.to ?? '') || key.at : key.at;
      return key.at < Math.max(to, from + 1) && until >= from;
    })
    .sort((a, b) => b.id - a.id);
}

/** The parts of a stop divided at a time: those that it has already, and one more. */
export function parts(at: number, reasons: [string, string], before: Part[] = []): Part[] {
  if (before.length === 0) {
    return [{ ...(reasons[0] && { reason: reasons[0] }) }, { from: new Date(at).toISOString(), ...(reasons[1] && { reason: reasons[1] }) }];
  }
  // The part that holds the time is the one that is divided.
  const i = before.findLastIndex((p) => p.from === undefined || Date.parse(p.from) < at);
  const first = { ...before[i], reason: reasons[0] || undefined };
  return [...before.slice(0, i), first, { from: new Date(at).toISOString(), ...(reasons[1] && { reason: reasons[1] }) }, ...before.slice(i + 1)];
}

export interface Part {
  from?: string;
  reason?: string;
  comment?: string;
}

/** The stops of the same machine after one, in order of time: with which it may be merged. */
export function after(all: Stop[], s: Stop, most: number): Stop[] {
  return all
    .filter((o) => o.machine === s.machine && (ms(o.from) ?? 0) > (ms(s.from) ?? 0))
    .sort((a, b) => (ms(a.from) ?? 0) - (ms(b.from) ?? 0))
    .slice(0, most);
}
