// What people say, as the API takes and gives it.

import type { Class, Figures, Name, Span, Time } from './types';

/** A node of the tree of reasons; those without children are what a stop may have. */
export interface Reason {
  id: string;
  name: Name;
  class: Class;
  children?: Reason[];
}

/** One thing that somebody said. Nothing of it is ever changed; it may be taken back. */
export interface Entry {
  id: number;
  said: Time;
  by: string;
  why?: string;
  kind: 'ideal_cycle' | 'calendar' | 'switches' | 'order' | 'stop' | 'split' | 'merge' | 'state' | 'count' | 'signoff' | 'product';
  key: string;
  from: Time;
  value: unknown;
  /** Id of the entry that this one takes back. */
  undoes?: number;
}

/** A quantity of a product to be made on a line; without an end while it runs. */
export interface Order extends Span {
  id: string;
  line: string;
  product: string;
  quantity: number;
  due?: Time;
}

/** A product with its ideal cycles; the settings' have no entry. */
export interface ProductPlan {
  id: string;
  name: Name;
  cycles: CycleVersion[];
}

export interface CycleVersion {
  machine: string;
  from: Time;
  entry?: number;
  /** As in 1.83s; null: none any more. */
  cycle: string | null;
}

/** A closed shift as it was published; each change of it is a revision more. */
export interface Result {
  line: string;
  shift: Time;
  revision: number;
  at: Time;
  reason: string;
  withdrawn: boolean;
  figures: Figures | null;
}

/** What an entry changes of a shift; a shift that there is not is null. */
export interface Effect {
  line: string;
  shift: Time;
  before: Figures | null;
  after: Figures | null;
}
