import { addDays, instant, monday } from './zone';
import type { Time } from './types';

/** A calendar as entries take it; lengths as in 8h30m. */
export interface Calendar {
  zone: string;
  shifts: Shift[];
  days: string[] | null;
  except?: string[] | null;
  rotation?: { start: string; weeks: string[][] } | null;
  overtime?: Overtime[] | null;
}

export interface Shift {
  name: string;
  start: string;
  length: string;
  breaks?: { start: string; length: string }[] | null;
}

export interface Overtime extends Shift {
  date: string;
}

/** What a calendar is from a time until the next version; the settings' has no entry. */
export interface Version {
  from: Time;
  entry?: number;
  calendar: Calendar;
}

export interface CalendarPlan {
  id: string;
  lines: string[];
  versions: Version[];
}

/** A shift on one day, in minutes since that day's midnight; it may go on past 24 h. */
export interface Block {
  name: string;
  from: number;
  to: number;
  breaks: { from: number; to: number }[];
  kind: 'shift' | 'overtime' | 'rest'; // rest: what is left of the day before's
}

export interface Day {
  date: string;
  blocks: Block[];
  off: 'except' | 'weekday' | 'week' | null; // why no shift of the pattern is worked
}

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const dayMin = 1440;

/** The minutes of a length such as 8h0m0s or 30m; NaN where it is none. */
export function minutes(length: string): number {
  const m = /^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(length);
  if (!m || length === '') return NaN;
  return Number(m[1] ?? 0) * 60 + Number(m[2] ?? 0) + Number(m[3] ?? 0) / 60;
}

/** A length of so many minutes as entries take it. */
export function length(min: number): string {
  const s = Math.round(min * 60);
  const parts = [[Math.floor(s / 3600), 'h'], [Math.floor(s / 60) % 60, 'm'], [s % 60, 's']].filter(([n]) => n);
  return parts.map(([n, unit]) => `${n}${unit}`).join('') || '0s';
}

/** Minutes since midnight of a time of day. */
export function clockMinutes(time: string): number {
  const [h, m, s] = time.split(':').map(Number);
  return (h ?? NaN) * 60 + (m ?? NaN) + (s ?? 0) / 60;
}

/** The time of day of minutes since midnight; 26:00 is 02:00. */
export function clockOf(min: number): string {
  const m = ((Math.round(min) % dayMin) + dayMin) % dayMin;
  return `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`;
}

function block(s: Shift, kind: Block['kind']): Block {
  const from = clockMinutes(s.start);
  const breaks = (s.breaks ?? []).map((b) => {
    const at = clockMinutes(b.start);
    const start = at < from ? at + dayMin : at;
    return { from: start, to: start + minutes(b.length) };
  });
  return { name: s.name, from, to: from + minutes(s.length), breaks, kind };
}

function weekday(date: string): string {
  return weekdays[(new Date(date + 'T00:00:00Z').getUTCDay() + 6) % 7] ?? 'mon';
}

/** The place of a date's week in the rotation. */
function turn(c: Calendar, date: string): number {
  const weeks = c.rotation?.weeks.length ?? 1;
  const n = Math.round((Date.parse(monday(date)) - Date.parse(monday(c.rotation?.start ?? date))) / 604_800_000);
  return ((n % weeks) + weeks) % weeks;
}

/** What starts on a date by one calendar. */
export function on(c: Calendar, date: string): Day {
  const extra = (c.overtime ?? []).filter((o) => o.date === date).map((o) => block(o, 'overtime'));
  const names = c.rotation ? (c.rotation.weeks[turn(c, date)] ?? []) : null;
  const off = c.except?.includes(date) ? 'except' : c.days?.length && !c.days.includes(weekday(date)) ? 'weekday' : names?.length === 0 ? 'week' : null;
  const worked = off ? [] : c.shifts.filter((s) => !names || names.includes(s.name)).map((s) => block(s, 'shift'));
  return { date, off, blocks: [...worked, ...extra].sort((a, b) => a.from - b.from) };
}

/** The version that holds at an instant. */
export function versionAt(versions: Version[], at: number): Version | undefined {
  return versions.findLast((v) => v.from == null || Date.parse(v.from) <= at);
}

/**
 * The seven days from a date on. A shift is of the version that holds when it
 * starts, and ends at the latest where the next one starts.
 */
export function week(versions: Version[], from: string, zone: string): Day[] {
  const days = Array.from({ length: 8 }, (_, i) => {
    const date = addDays(from, i - 1);
    const noon = instant(date, '12:00', zone) ?? 0;
    const day = on((versionAt(versions, noon) ?? versions[0])?.calendar ?? { zone, shifts: [], days: null }, date);
    const blocks = versions.flatMap((v) => on(v.calendar, date).blocks.filter((b) => versionAt(versions, instant(date, clockOf(b.from), zone) ?? 0) === v));
    return { ...day, blocks: blocks.sort((a, b) => a.from - b.from) };
  });
  return days.slice(1).map((d, i) => {
    const before = (days[i]?.blocks ?? []).filter((b) => b.to > dayMin);
    const rest = before.map((b): Block => ({ name: b.name, kind: 'rest', from: 0, to: b.to - dayMin, breaks: b.breaks.filter((x) => x.to > dayMin).map((x) => ({ from: Math.max(0, x.from - dayMin), to: x.to - dayMin })) }));
    const blocks = [...rest, ...d.blocks];
    return { ...d, blocks: blocks.map((b, j) => ({ ...b, to: Math.min(b.to, blocks[j + 1]?.from ?? Infinity) })) };
  });
}

/** The versions with a draft among them, as they would be once it is said. */
export function withDraft(versions: Version[], draft: Version): Version[] {
  const at = (v: Version) => (v.from == null ? -Infinity : Date.parse(v.from));
  return [...versions.filter((v) => v.entry === undefined || at(v) !== at(draft)), draft].sort((a, b) => at(a) - at(b));
}
