import type { Time, Value } from './types';

/** What stands where there is no figure. Never 0. */
export const none = '–';

const thin = '\u202f';

/** A count with its thousands apart: 5 120. */
export function count(n: number | null | undefined): string {
  if (n == null || !Number.isFinite(n)) return none;
  const s = Math.round(Math.abs(n)).toString();
  return (Math.round(n) < 0 ? '−' : '') + (s.length > 4 ? s.replace(/\B(?=(\d{3})+$)/g, thin) : s);
}

/** A difference with its sign: +12, −380, 0. */
export function signed(n: number | null): string {
  if (n == null) return none;
  return (Math.round(n) > 0 ? '+' : '') + count(n);
}

/** A share as percent with one decimal: 74.8 %. */
export function percent(x: number | null | undefined): string {
  return x == null || !Number.isFinite(x) ? none : (x * 100).toFixed(1) + '\u00a0%';
}

/** A number with at most so many decimals, none that are only zeros. */
export function decimal(x: number | null | undefined, most = 2): string {
  if (x == null || !Number.isFinite(x)) return none;
  const s = x.toFixed(most);
  return (s.includes('.') ? s.replace(/\.?0+$/, '') : s).replace('-', '−');
}

/** A reading as people read it; words for a switch come from the caller. */
export function reading(v: Value, on: string, off: string): string {
  if (v === null) return none;
  if (typeof v === 'boolean') return v ? on : off;
  return typeof v === 'number' ? decimal(v, Math.abs(v) >= 1000 ? 1 : 3) : v;
}

/** Seconds of a running clock: 00:12:04, hours go on past 24. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => n.toString().padStart(2, '0');
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** The parts of a length of time in the two units that matter. */
export function parts(seconds: number): { unit: 's' | 'min' | 'h' | 'd'; values: Record<string, string | number> } {
  const s = Math.max(0, Math.round(seconds));
  const m = Math.floor(s / 60);
  if (s < 60) return { unit: 's', values: { s } };
  if (m < 60) return { unit: 'min', values: { m } };
  if (m < 48 * 60) return { unit: 'h', values: { h: Math.floor(m / 60), m: (m % 60).toString().padStart(2, '0') } };
  return { unit: 'd', values: { d: Math.floor(m / 1440), h: Math.floor((m % 1440) / 60) } };
}

/** A size in bytes: 80 KiB. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return decimal(n, n < 10 && i > 0 ? 1 : 0) + '\u00a0' + units[i];
}

/** Milliseconds since the epoch, or null. */
export function ms(t: Time | undefined): number | null {
  return t ? Date.parse(t) : null;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, kind: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + kind;
  let f = formats.get(key);
  if (!f) {
    try {
      f = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone || 'UTC', hourCycle: 'h23' });
    } catch {
      f = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC', timeZoneName: 'short', hourCycle: 'h23' }); // a zone this browser does not know
    }
    formats.set(key, f);
  }
  return f;
}

/** A time of day in a zone: 14:02, with seconds 14:02:11. */
export function timeOfDay(at: number | null, zone: string, seconds = false): string {
  if (at == null) return none;
  return format(zone, seconds ? 'hms' : 'hm', { hour: '2-digit', minute: '2-digit', ...(seconds && { second: '2-digit' }) }).format(at);
}

/** A local date: 2026-03-02. */
export function date(at: number, zone: string): string {
  const p = format(zone, 'ymd', { year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(at);
  const get = (type: string) => p.find((x) => x.type === type)?.value ?? '';
  return `${get('year')}-${get('month')}-${get('day')}`;
}

/** A time of day, with its date where that is not today's. */
export function moment(at: number | null, now: number, zone: string, seconds = false): string {
  if (at == null) return none;
  const time = timeOfDay(at, zone, seconds);
  const day = date(at, zone);
  return day === date(now, zone) ? time : `${day.slice(5)} ${time}`;
}
