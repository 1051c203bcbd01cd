import { live } from './live.svelte';
import { moment, ms, parts, timeOfDay } from './format';
import { look, stateWord } from './states';
import type { Line, Machine, Time } from './types';
import { isKey, named, t } from './words.svelte';
import { Problem } from './api';

/** A length of time in words: 12 min, 1 h 05 min. */
export function duration(seconds: number): string {
  const p = parts(seconds);
  return t(`time.${p.unit}`, p.values);
}

/** A short length of time, down to milliseconds: 0.4 s, 12 ms. */
export function lag(milliseconds: number): string {
  const a = Math.abs(milliseconds);
  if (a < 1000) return t('time.ms', { ms: milliseconds.toString().replace('-', '−') });
  return a < 60_000 ? t('time.s', { s: (milliseconds / 1000).toFixed(1).replace('-', '−') }) : duration(a / 1000);
}

/** How long something has been so. */
export function sinceWords(at: Time): string {
  const from = ms(at);
  return from == null ? '' : duration((live.now - from) / 1000);
}

/** A time in the site's zone. */
export function at(time: Time | undefined, seconds = false): string {
  return moment(ms(time), live.now, live.zone, seconds);
}

/** A time of day in the site's zone. */
export function hm(time: Time | undefined, seconds = false): string {
  return timeOfDay(ms(time), live.zone, seconds);
}

/** What a machine's state is called in PackML. */
export function packml(state: string | undefined): string {
  const key = 'packml.' + state;
  return isKey(key) ? t(key) : (state ?? '');
}

/** What a machine is called, looked up in all lines. */
export function machineName(id: string): string {
  for (const l of live.lines) for (const m of l.machines ?? []) if (m.id === id) return named(m.name) || id;
  return id;
}

export function machineTitle(m: Machine): string {
  return named(m.name) || m.id;
}

/** Why a request failed, in words. */
export function failure(e: unknown): string {
  if (e instanceof Problem && e.status !== 0) return e.message;
  return t('error.network');
}

/** What a machine says of its fault; a bare number is told as one. */
export function faultWords(fault: string | undefined): string {
  return fault && /^\d+$/.test(fault) ? t('machine.code', { code: fault }) : (fault ?? '');
}

/** What a shift is called: a common one in the reader's language, others by their name. */
export function shiftWords(name: string): string {
  const key = 'shift.' + name.toLowerCase();
  return isKey(key) ? t(key) : t('line.shift', { name });
}

/** A shift's window by its day and name: 03-02 day shift. */
export function shiftOf(w: { shift?: string; day?: string; from: Time }): string {
  return `${(w.day ?? at(w.from)).slice(5)} ${shiftWords(w.shift ?? '')}`;
}

/** What a signal is called: its characteristic, what it means for its machine, or its own name. */
export function signalTitle(s: { name: string; role?: string }, m?: Machine): string {
  const measured = named(m?.measurements?.find((x) => x.signal === s.name)?.name);
  if (measured) return measured;
  const key = 'role.' + s.role;
  return isKey(key) ? t(key) : s.name.replaceAll('_', ' ');
}

/** A unit as the reader writes it. */
export function unitWord(unit: string): string {
  const key = 'unit.' + unit;
  return isKey(key) ? t(key) : unit;
}

/** What the line's state is called; inside a shift, not scheduled is a break. */
export function lineWord(line: Line): string {
  const l = look(line.state.class, line.state.small);
  const resting = line.shift?.breaks?.some((b) => (ms(b.from) ?? 0) <= live.now && live.now < (ms(b.to) ?? 0));
  return t(l === 'not_scheduled' && resting ? 'state.break' : stateWord(l));
}
