import { live } from './live.svelte';
import { moment, ms, parts, timeOfDay } from './format';
import type { Machine, Time } from './types';
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
