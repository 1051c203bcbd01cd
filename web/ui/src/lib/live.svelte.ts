import type { Alert, Backlog, Figures, Gateway, Line, Notice, Signal, Snapshot } from './types';
import { ms } from './format';

export type Link = 'waiting' | 'live' | 'lost';

/** Data older than this cannot be vouched for. */
export const oldAfter = 5_000;

const silence = 25_000; // after which a stream that should say something is opened anew

/** How long to wait before the next try: 0.5, 1, 2, 4, 8, 8 … s, with some chance in it. */
export function backoff(failures: number, random: number): number {
  return Math.min(8_000, 500 * 2 ** Math.min(failures, 10)) * (0.75 + random / 2);
}

const rank = { high: 0, medium: 1, low: 2 };

/** Open alerts with one of them changed, most severe and newest first. */
export function withAlert(all: Alert[], a: Alert): Alert[] {
  const rest = all.filter((x) => x.id !== a.id);
  if (a.state === 'normal') return rest;
  return [...rest, a].sort((x, y) => rank[x.severity] - rank[y.severity] || (ms(y.since) ?? 0) - (ms(x.since) ?? 0));
}

/** The list with the item of the same key put in its place, or at the end. */
export function put<T>(all: T[], item: T, key: (t: T) => string): T[] {
  const i = all.findIndex((x) => key(x) === key(item));
  return i < 0 ? [...all, item] : all.with(i, item);
}

/** The plant as it is now: one snapshot, then what changes. */
class Live {
  link = $state<Link>('waiting');
  lostAt = $state(0); // the twin's clock
  retryAt = $state(0); // the browser's clock
  now = $state(Date.now()); // the twin's clock, as well as it can be told
  site = $state('');
  zone = $state('');
  version = $state('');
  plant = $state.raw<Figures | null>(null);
  lines = $state.raw<Line[]>([]);
  gateways = $state.raw<Gateway[]>([]);
  alerts = $state.raw<Alert[]>([]);
  backlog = $state.raw<Backlog | null>(null);
  notices = $state.raw<Notice[]>([]);
  signals = $state.raw<ReadonlyMap<string, Signal>>(new Map()); // of the machine that is watched
  arrived = $state(false); // there was a snapshot

  private source: EventSource | null = null;
  private machine = '';
  private skew = 0; // the twin's clock less the browser's
  private failures = 0;
  private retry = 0;
  private heard = 0;

  /** Begins to listen; gives what ends it. */
  start(): () => void {
    this.open();
    const tick = setInterval(() => this.tick(), 250);
    const again = () => this.reopen();
    addEventListener('online', again);
    return () => {
      clearInterval(tick);
      clearTimeout(this.retry);
      removeEventListener('online', again);
      this.source?.close();
    };
  }

  /** Also asks for the signals of a machine; '' for none. */
  watch(machine: string) {
    if (machine === this.machine) return;
    this.machine = machine;
    this.signals = new Map();
    this.open();
  }

  /** Tries at once. */
  reopen() {
    if (this.link !== 'live') this.open();
  }

  /** Takes signals that were asked for apart from the stream. */
  seed(signals: Signal[]) {
    const known = new Map(signals.map((s) => [s.name, s]));
    for (const [name, s] of this.signals) if ((ms(s.through) ?? 0) > (ms(known.get(name)?.through) ?? 0)) known.set(name, s);
    this.signals = known;
  }

  /** An acknowledged alert as the server gave it back. */
  alert(a: Alert) {
    this.alerts = withAlert(this.alerts, a);
  }

  private tick() {
    const clock = Date.now();
    this.now = clock + this.skew;
    if (this.link === 'live' && clock - this.heard > silence) this.fail();
  }

  private open() {
    clearTimeout(this.retry);
    this.source?.close();
    this.retryAt = 0;
    const source = new EventSource('/api/v1/events' + (this.machine ? '?machine=' + encodeURIComponent(this.machine) : ''));
    this.source = source;
    const on = <T>(name: string, take: (data: T) => void) =>
      source.addEventListener(name, (e) => {
        this.heard = Date.now();
        take(JSON.parse((e as MessageEvent<string>).data) as T);
      });
    on<Snapshot>('snapshot', (s) => this.take(s));
    on<Line>('line', (l) => {
      const through = ms(l.through);
      if (through != null && l.data_age_ms != null) this.setClock(through + l.data_age_ms);
      this.lines = put(this.lines, l, (x) => x.id);
    });
    on<Gateway>('gateway', (g) => (this.gateways = put(this.gateways, g, (x) => x.area + '/' + x.gateway)));
    on<Alert>('alert', (a) => this.alert(a));
    on<Figures>('plant', (p) => (this.plant = p));
    on<Backlog>('backlog', (b) => (this.backlog = b.done < 1 && b.waiting > 0 ? b : null));
    on<Notice[]>('notices', (n) => (this.notices = n));
    on<Signal[]>('signals', (list) => {
      const next = new Map(this.signals);
      for (const s of list) if (s.machine === this.machine) next.set(s.name, s);
      this.signals = next;
    });
    source.onerror = () => {
      if (source === this.source) this.fail();
    };
  }

  private fail() {
    this.source?.close();
    if (this.link === 'live') this.lostAt = Date.now() + this.skew;
    if (this.arrived) this.link = 'lost';
    const wait = backoff(this.failures++, Math.random());
    this.retryAt = Date.now() + wait;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), wait) as unknown as number;
  }

  private take(s: Snapshot) {
    this.setClock(ms(s.time) ?? Date.now());
    this.site = s.site;
    this.zone = s.zone;
    this.version = s.version;
    this.plant = s.plant;
    this.lines = s.lines ?? [];
    this.gateways = s.gateways ?? [];
    this.alerts = s.alerts ?? [];
    this.backlog = s.backlog ?? null;
    this.notices = s.notices ?? [];
    this.arrived = true;
    this.link = 'live';
    this.failures = 0;
  }

  /** Follows the twin's clock; messages that were a little longer on their way do not shake it. */
  private setClock(twin: number) {
    const skew = twin - Date.now();
    if (this.arrived && Math.abs(skew - this.skew) < 500) return;
    this.skew = skew;
    this.now = twin;
  }
}

export const live = new Live();
