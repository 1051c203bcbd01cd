const formats = new Map<string, Intl.DateTimeFormat>();

/** What the wall clock of a zone shows, as if it were UTC. */
function wall(at: number, zone: string): number {
  let f = formats.get(zone);
  if (!f) {
    const options: Intl.DateTimeFormatOptions = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' };
    try {
      f = new Intl.DateTimeFormat('en-US', { ...options, timeZone: zone || 'UTC' });
    } catch {
      f = new Intl.DateTimeFormat('en-US', { ...options, timeZone: 'UTC' });
    }
    formats.set(zone, f);
  }
  const p = Object.fromEntries(f.formatToParts(at).map((x) => [x.type, Number(x.value)]));
  return Date.UTC(p.year ?? 0, (p.month ?? 1) - 1, p.day, p.hour, p.minute, p.second);
}

/**
 * The instant of a local date (2026-03-02) and time (08:00 or 08:00:30) in a
 * zone; null where it is none. A time that the clocks leave out in spring is
 * told by the offset before; of one that comes twice the first is meant.
 */
export function instant(date: string, time: string, zone: string): number | null {
  const want = Date.parse(`${date}T${time.length === 5 ? time + ':00' : time}Z`);
  if (Number.isNaN(want)) return null;
  const day = 86_400_000;
  const before = want - (wall(want - day, zone) - (want - day));
  const after = want - (wall(want + day, zone) - (want + day));
  if (wall(before, zone) === want) return before;
  return wall(after, zone) === want ? after : before;
}

const two = (n: number) => n.toString().padStart(2, '0');

/** The local date and time of an instant in a zone, as input fields take them. */
export function local(at: number, zone: string): { date: string; time: string; seconds: string } {
  const d = new Date(wall(Math.floor(at / 1000) * 1000, zone));
  const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  return { date: d.toISOString().slice(0, 10), time, seconds: `${time}:${two(d.getUTCSeconds())}` };
}

/** A local date so many days later. */
export function addDays(date: string, days: number): string {
  return new Date(Date.parse(date + 'T00:00:00Z') + days * 86_400_000).toISOString().slice(0, 10);
}

/** The Monday of a date's week. */
export function monday(date: string): string {
  return addDays(date, -((new Date(date + 'T00:00:00Z').getUTCDay() + 6) % 7));
}

/** A time of day as it may be typed, as 08:00 or with seconds 08:00:00; null where it is none. */
export function clockText(typed: string, seconds = false): string | null {
  const m = /^(\d{1,2})[:：.]?(\d{2})(?:[:：.]?(\d{2}))?$/.exec(typed);
  const [h, min, s] = [Number(m?.[1]), Number(m?.[2]), Number(m?.[3] ?? 0)];
  if (!m || h > 23 || min > 59 || s > 59 || (m[3] && !seconds)) return null;
  return `${two(h)}:${two(min)}` + (seconds ? ':' + two(s) : '');
}
