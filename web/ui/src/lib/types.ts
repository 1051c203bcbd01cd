// What the API gives, in the words of the Go package plant. The OpenAPI
// document at /api/openapi.json is the authority.

export type * from './types-said';

/** RFC 3339 in UTC, or null for never. */
export type Time = string | null;

export interface Span {
  from: Time;
  to: Time;
}

export interface Name {
  en: string;
  zh: string;
}

export type Class = 'unknown' | 'run' | 'stop' | 'starved' | 'blocked' | 'changeover' | 'planned_stop' | 'not_scheduled';
export type Severity = 'low' | 'medium' | 'high';
export type Link = 'flowing' | 'stale' | 'connecting' | 'down';
export type Value = number | boolean | string | null;

export interface Losses {
  schedule_s: number;
  unknown_s: number;
  unplanned_stop_s: number;
  planned_stop_s: number;
  small_stop_s: number;
  reduced_speed_s: number;
  production_reject_s: number;
  startup_reject_s: number;
  productive_s: number;
  starved_s: number;
  blocked_s: number;
  changeover_s: number;
}

export interface Figures extends Span {
  planned_s: number;
  known_s: number;
  coverage: number | null;
  run_s: number;
  good: number;
  reject: number;
  total: number;
  availability: number | null;
  performance: number | null;
  quality: number | null;
  oee: number | null;
  oee_low: number | null;
  oee_high: number | null;
  teep: number | null;
  provisional: boolean;
  revision: number;
  losses: Losses;
  stops: number;
  small_stops: number;
  changeovers: number;
  /** Of the window of a shift. */
  shift?: string;
  day?: string;
  order?: string;
  signed_off?: SignedOff;
  flags?: string[] | null;
  why?: Record<string, string> | null;
  switches?: SwitchesHeld[] | null;
}

/** By which switches lines' time was counted in a part of a window. */
export interface SwitchesHeld extends Span {
  lines: string[];
  since: Time; // null: as in the settings
  small_stop: string;
  breaks_worked: boolean;
  planned_stops_as_schedule: boolean;
  no_order_as_schedule: boolean;
}

/** Who signed a shift's figures off, and what became of them since. */
export interface SignedOff {
  entry: number;
  by: string;
  at: Time;
  why?: string;
  revision: number;
  figures: Figures;
  restated?: { revision: number; at: Time; reason: string };
}

export interface ShiftInstance extends Span {
  name: string;
  day: string;
  breaks?: Span[] | null;
}

export interface HourCount extends Span {
  good: number;
  reject: number;
  target: number | null;
  oee: number | null;
}

export interface LineState {
  class: Class;
  small: boolean;
  since: Time;
  cause?: string;
  fault?: string;
  why?: string;
}

export interface Measured {
  id: string;
  signal: string;
  name: Name;
  unit?: string;
  lsl?: number;
  usl?: number;
  target?: number;
  value: number | null;
  time: Time;
  within: boolean;
}

export interface Machine {
  id: string;
  name: Name;
  class: Class;
  small: boolean;
  state?: string;
  since: Time;
  fault?: string;
  why?: string;
  good: number;
  reject: number;
  oee: number | null;
  availability: number | null;
  through: Time;
  gateway?: string;
  link?: Link;
  measurements?: Measured[] | null;
}

export interface Line {
  id: string;
  area: string;
  name: Name;
  bottleneck: string;
  bottlenecks?: string[] | null; // it and the machines beside it
  state: LineState;
  shift: ShiftInstance | null;
  product: { id: string; name: Name } | null;
  order: { id: string; product: string; quantity: number } | null;
  restatings?: number; // raised when figures of the past changed
  order_source?: 'plc' | 'entered' | ''; // who says so
  good: number;
  reject: number;
  target: number | null;
  shift_goal: number | null;
  oee: number | null;
  figures: Figures;
  hours: HourCount[] | null;
  machines: Machine[] | null;
  through: Time;
  data_age_ms: number | null;
  alerts: number;
}

export interface Alert {
  id: string;
  rule: string;
  severity: Severity;
  state: 'unacknowledged' | 'acknowledged' | 'returned_unacknowledged' | 'normal';
  quality: boolean;
  line?: string;
  machine?: string;
  signal?: string;
  message: Name;
  value: number | null;
  unit?: string;
  limit: number | null;
  since: Time;
  fired: Time;
  returned: Time;
  acknowledged: Time;
  acknowledged_by?: string;
  count: number;
}

export interface Device {
  machine: string;
  protocol: string;
  endpoint: string;
  link: Link;
  reason?: string;
  since: Time;
  last_data: Time;
  next_try: Time;
  signals: number;
  bad_signals: number;
  rounds: number;
  failures: number;
  missed: number;
  late: number;
  skipped: number;
  every_ms: number;
  round_ms: number;
  connects: number;
  clock_ms: number | null;
  groups?: SignalGroup[];
  notes?: string[];
}

export interface GatewayClock {
  state: 'set' | 'unset' | 'doubt' | 'own' | 'of_twin';
  synchronised: boolean;
  offset_ms: number | null;
  bound_ms: number;
  system_ms: number;
  steps: number;
  last_step: Time;
  last_step_ms: number;
}

export interface SignalGroup {
  name: string;
  every_ms: number;
  stale: boolean;
  last_data: Time;
  signals: number;
  bad_signals: number;
}

/** Which installation of a gateway it is. */
export interface Identity {
  installation: string;
  start: number;
  host: string;
  address: string;
}

export interface WireStatus {
  broker: string;
  since: Time;
  connects: number;
  faults: number;
  last_fault?: string;
  last_fault_at?: Time;
  notes?: string[];
  certificates?: { of: string; subject: string; not_after: Time }[];
}

export interface Gateway {
  area: string;
  gateway: string;
  version: string;
  time: Time;
  started: Time;
  made: number;
  read: number;
  stored: number;
  waiting: number;
  dropped: number;
  dropped_span: Span;
  buffer_bytes: number;
  buffer_max_bytes: number;
  buffer_error?: string;
  settings_error?: string;
  clock?: GatewayClock;
  rival?: string;
  wire?: WireStatus;
  oldest_waiting: Time;
  devices: Device[] | null;
  online: boolean;
  since: Time;
  last_seen: Time;
  lag_ms: number | null;
  clock_ms: number | null;
  made_per_s: number;
  stored_per_s: number;
  gaps: number;
  foreign: boolean;
  identity?: Identity;
  /** Two processes speak under this name. */
  rivals?: { since: Time; last: Time; turns: number; here: Identity; other: Identity };
  /** It was installed anew, or put back from a backup. */
  replaced?: { at: Time; before: Identity; waiting: number; restored: boolean };
  /** Machines of which another gateway tells too. */
  shared?: { machine: string; area: string; gateway: string; since: Time }[];
  /** The latest times of which readings were dropped, newest first; without a machine where nobody knows whose. */
  dropouts?: Dropout[] | null;
  audit?: Audit | null;
}

export interface Dropout extends Span {
  machine: string;
  readings: number;
}

/** What was made in a span of time against what history has of it. */
export interface Audit extends Span {
  at: Time;
  made: number;
  repeated: number;
  stored: number;
  waiting: number;
  quarantined: number;
  dropped: number;
  expired: number;
  unexplained: number;
  surplus: number;
  uncounted: number;
}

export interface Backlog {
  gateway: string;
  waiting: number;
  through: Time;
  done: number;
}

export interface Notice {
  kind: string;
  text: string;
  count: number;
  last: Time;
}

export interface Snapshot {
  site: string;
  zone: string;
  time: Time;
  version: string;
  plant: Figures;
  lines: Line[] | null;
  gateways: Gateway[] | null;
  alerts: Alert[] | null;
  backlog?: Backlog;
  notices?: Notice[] | null;
}

export interface Segment extends Span {
  machine: string;
  class: Class;
  state?: string;
  fault?: string;
  small?: boolean;
  open?: boolean;
}

export interface Timeline extends Span {
  shifts: ShiftInstance[] | null;
  machines: { machine: string; name: Name; segments: Segment[] | null }[] | null;
}

export interface Stop extends Span {
  id: string;
  machine: string;
  open: boolean;
  class: Class;
  small: boolean;
  fault?: string;
  /** Id of a reason; without it the stop is unassigned. */
  reason?: string;
  comment?: string;
  cause?: string;
  /** Id of the entry that gives reason or comment; without it the machine's fault gives them. */
  entry?: number;
  /** Id of the entry that divided it: this is one part of the whole. */
  split?: number;
  whole?: Span;
  /** Id of the entry that made one event of these parts. */
  merge?: number;
  parts?: Span[];
}

export interface Signal {
  name: string;
  kind: 'float' | 'integer' | 'boolean' | 'text' | 'none';
  unit?: string;
  machine: string;
  role?: string;
  value: Value;
  quality: 'good' | 'uncertain' | 'bad';
  reason?: string;
  time: Time;
  through: Time;
  state: 'good' | 'uncertain' | 'stale' | 'bad' | 'never';
  stale_since: string | null;
}

export interface Bucket extends Span {
  count: number;
  bad: number;
  min: number | null;
  max: number | null;
  mean: number | null;
  last: Value;
}

export interface Kpi {
  id: string;
  name: Name;
  value: number | null;
  unit: string;
  target: number | null;
  score: number | null;
  weight: number;
  source: 'measured' | 'entered' | 'missing';
  why: Name;
  formula: Name;
  evidence: { name: Name; value: number | null; unit: string }[] | null;
  trend: (number | null)[] | null;
}

export interface Scorecard extends Span {
  domains: { id: string; name: Name; index: number | null; share: number; kpis: Kpi[] | null }[] | null;
}

export interface QuarantineGroup {
  machine: string;
  signal: string;
  kind: string;
  why: string;
  count: number;
  span: Span;
}

export interface Quarantine {
  waiting: number;
  dropped: number;
  groups: QuarantineGroup[];
}

export interface Retried {
  tried: number;
  stored: number;
  refused: number;
}
