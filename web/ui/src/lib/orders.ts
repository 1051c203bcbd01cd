import { ms } from './format';
import { standing } from './saying';
import type { Entry, Figures, Line, Order } from './types';

export type OrderState = 'running' | 'planned' | 'done';

/** An order as it was said last, with the entry that says so. */
export interface Said {
  order: Order;
  entry: Entry;
  state: OrderState;
}

function stateOf(o: Order, now: number): OrderState {
  const from = ms(o.from);
  const to = ms(o.to);
  if (to != null && to <= now) return 'done';
  return from != null && from <= now ? 'running' : 'planned';
}

const rank = { running: 0, planned: 1, done: 2 };

/** The orders that stand, running ones first, then those to come, then the latest ended. */
export function orders(entries: Entry[], now: number): Said[] {
  const last = new Map<string, Entry>();
  for (const e of standing(entries)) if (!last.has(e.key)) last.set(e.key, e); // the newest comes first
  const all = [...last.values()].flatMap((entry): Said[] => {
    const order = entry.value as Order | null;
    return order ? [{ order, entry, state: stateOf(order, now) }] : [];
  });
  const begin = (o: Order) => ms(o.from) ?? ms(o.due) ?? Infinity;
  return all.sort((a, b) => rank[a.state] - rank[b.state] || (a.state === 'done' ? begin(b.order) - begin(a.order) : begin(a.order) - begin(b.order)) || a.order.id.localeCompare(b.order.id));
}

/** What was made of each order in windows by order. */
export function made(windows: Figures[]): Map<string, { good: number; reject: number }> {
  const sums = new Map<string, { good: number; reject: number }>();
  for (const w of windows) {
    if (!w.order) continue;
    const s = sums.get(w.order) ?? { good: 0, reject: 0 };
    sums.set(w.order, { good: s.good + w.good, reject: s.reject + w.reject });
  }
  return sums;
}

/** An order that a machine told and that nobody entered for the line. */
export interface Told {
  id: string;
  line: string;
  good: number;
  reject: number;
}

/** The orders of a line's windows by order that nobody entered. */
export function notEntered(line: string, windows: Figures[]): Told[] {
  return windows.flatMap((w) => (w.order && w.flags?.includes('order_not_entered') ? [{ id: w.order, line, good: w.good, reject: w.reject }] : []));
}

/** Whether a line's machines tell orders, as far as can be seen now. */
export function tellsOrders(l: Line): boolean {
  return l.order_source === 'plc' || (l.figures.flags?.includes('order_not_entered') ?? false);
}

/** An instant down to its whole minute, as orders take it. */
export function minute(at: number): string {
  return new Date(Math.floor(at / 60_000) * 60_000).toISOString();
}
