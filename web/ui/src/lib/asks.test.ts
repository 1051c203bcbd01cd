import { describe, expect, test } from 'vitest';
import { asks, planned, unassigned } from './asks';
import { leaves, offers, pathTo } from './reasons';
import { ofStop, standing } from './saying';
import type { Entry, Line, Reason, Stop } from './types';

const at = (min: number) => new Date(min * 60_000).toISOString();
const stop = (machine: string, from: number, to: number, more: Partial<Stop> = {}): Stop => ({
  id: `${machine}@${from}`, machine, from: at(from), to: at(to), open: false, class: 'stop', small: false, ...more,
});
const shift = { name: 'day', day: '1970-01-01', from: at(0), to: at(480), breaks: [{ from: at(240), to: at(270) }] };
const line = { id: 'l', bottleneck: 'neck', state: { class: 'run' }, shift } as unknown as Line;
const asked = (stops: Stop[], now = 300, l = line) => asks(l, stops, now * 60_000).map((s) => s.id);

describe('planned time', () => {
  test.each([
    [0, 10, 600], [230, 280, 1200], [240, 270, 0], [-30, 30, 1800], [470, 500, 600], [500, 600, 0],
  ])('of %s to %s min is %s s', (from, to, want) => expect(planned(from * 60_000, to * 60_000, [shift])).toBe(want));
});

describe('stops that are asked about', () => {
  test('the bottleneck’s first, then its cause, then the others; open ones before all', () => {
    const stops = [stop('other', 90, 100), stop('cause', 50, 60), stop('neck', 10, 20), stop('neck', 51, 60, { class: 'starved', cause: 'cause' })];
    expect(asked(stops)).toEqual(['neck@10', 'cause@50', 'other@90']);
    expect(asked([...stops, stop('other', 290, 300, { open: true })])[0]).toBe('other@290');
  });
  test('neither those with a reason, nor small, waiting or planned ones', () => {
    const told = [stop('neck', 1, 5, { reason: 'jam' }), stop('neck', 6, 7.5, { small: true }), stop('neck', 8, 12, { class: 'starved' }), stop('neck', 13, 20, { class: 'planned_stop' })];
    expect(asked(told)).toEqual([]);
    expect(unassigned(stop('neck', 6, 7, { small: true, open: true }))).toBe(true);
  });
  test('an open one once it has cost some planned time', () => {
    expect(asked([stop('neck', 300, 300, { open: true, small: true })], 300.1)).toEqual([]);
    expect(asked([stop('neck', 300, 300, { open: true, small: true })], 300.3)).toEqual(['neck@300']);
  });
  test('none that lay in a break or in another shift', () => {
    expect(asked([stop('neck', 240, 270), stop('neck', 239.5, 270.2), stop('neck', -90, -30)])).toEqual([]);
    expect(asked([stop('neck', 10, 20)], 300, { ...line, shift: null } as Line)).toEqual([]);
  });
});

const name = (x: string) => ({ en: x, zh: x });
const leaf = (id: string): Reason => ({ id, name: name(id), class: 'stop' });
const tree: Reason[] = [
  { id: 'technical', name: name('Technical'), class: 'unknown', children: [{ id: 'feed', name: name('Feed'), class: 'unknown', children: [leaf('jam'), leaf('empty')] }, leaf('drive')] },
  leaf('other'),
];

describe('the tree of reasons', () => {
  const ids = (all: Reason[]) => all.map((r) => r.id);
  test('few leaves are offered at once', () => expect(ids(offers(tree, [], 4))).toEqual(['jam', 'empty', 'drive', 'other']));
  test('many are offered level by level', () => {
    expect(ids(offers(tree, [], 3))).toEqual(['technical', 'other']);
    expect(ids(offers(tree, ['technical'], 2))).toEqual(['feed', 'drive']);
    expect(ids(offers(tree, ['technical', 'feed'], 1))).toEqual(['jam', 'empty']);
    expect(ids(offers(tree, ['gone'], 9))).toEqual([]);
  });
  test('a reason is found with what is above it', () => {
    expect(ids(pathTo(tree, 'jam'))).toEqual(['technical', 'feed', 'jam']);
    expect(pathTo(tree, 'nobody')).toEqual([]);
    expect(leaves(tree)).toHaveLength(4);
  });
});

describe('what is said', () => {
  test('of a stop keeps what it had', () => {
    expect(ofStop(stop('neck', 1, 2, { comment: 'see log' }), { reason: 'jam' })).toEqual({ kind: 'stop', key: 'neck@1', value: { reason: 'jam', comment: 'see log' } });
    expect(ofStop(stop('neck', 1, 2, { reason: 'jam', comment: 'x' }), { comment: '' }).value).toEqual({ reason: 'jam' });
  });
  test('stands until it is taken back', () => {
    const entry = (id: number, undoes?: number) => ({ id, undoes }) as Entry;
    expect(standing([entry(4, 2), entry(3), entry(2), entry(1)]).map((e) => e.id)).toEqual([3, 1]);
  });
});
