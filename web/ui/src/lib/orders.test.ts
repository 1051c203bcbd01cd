import { describe, expect, test } from 'vitest';
import { made, minute, notEntered, orders, tellsOrders } from './orders';
import type { Entry, Figures, Line, Order } from './types';

const at = (min: number) => new Date(min * 60_000).toISOString();
const order = (id: string, from: number | null, to: number | null): Order => ({ id, line: 'l', product: 'p', quantity: 5, due: null, from: from == null ? null : at(from), to: to == null ? null : at(to) });
const said = (id: number, value: Order | null, key = value?.id ?? '', undoes?: number) => ({ id, kind: 'order', key, value, undoes }) as Entry;

describe('orders', () => {
  test('are as they were said last, running ones first', () => {
    const all = orders([said(6, order('b', 20, null)), said(5, order('z', 1, 5)), said(4, order('a', 50, null)), said(3, order('y', 2, 6)), said(2, order('c', null, null)), said(1, order('b', 1, 2))], 30 * 60_000);
    expect(all.map((o) => `${o.order.id} ${o.state}`)).toEqual(['b running', 'a planned', 'c planned', 'y done', 'z done']);
  });
  test('are gone where they were taken away, and back where that was undone', () => {
    const first = said(1, order('a', 1, null));
    expect(orders([said(2, null, 'a'), first], 0)).toEqual([]);
    expect(orders([said(3, null, 'a', 2), said(2, null, 'a'), first], 0)).toHaveLength(1);
    expect(orders([said(2, null, 'a', 1), first], 0)).toEqual([]);
  });
  test('have what was made of them in all windows', () => {
    const window = (o: string | undefined, good: number, reject: number) => ({ order: o, good, reject }) as Figures;
    expect(made([window('a', 5, 1), window(undefined, 7, 0), window('a', 2, 0)])).toEqual(new Map([['a', { good: 7, reject: 1 }]]));
  });
  test('that a machine told and nobody entered are those with the flag', () => {
    const window = (o: string | undefined, flags: string[] | null) => ({ order: o, good: 5, reject: 1, flags }) as Figures;
    expect(notEntered('l', [window('a', ['order_not_entered']), window('b', null), window(undefined, ['order_not_entered', 'no_order'])])).toEqual([{ id: 'a', line: 'l', good: 5, reject: 1 }]);
    const line = (order_source: string, flags: string[] | null) => ({ order_source, figures: { flags } }) as Line;
    expect([line('plc', null), line('entered', ['order_not_entered']), line('', ['no_order']), line('', null)].map(tellsOrders)).toEqual([true, true, false, false]);
  });
  test('begin with a whole minute', () => expect(minute(90_500)).toBe(at(1)));
});
