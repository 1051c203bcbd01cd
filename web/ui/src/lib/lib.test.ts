import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { backoff, put, withAlert } from './live.svelte';
import { page } from './router.svelte';
import { nearest, row, ticks } from './segments';
import { look } from './states';
import { append, columns, extent, numeric, outside } from './trend';
import { said } from './said';
import type { Alert, Bucket, Machine, Segment, Signal } from './types';
import { fill, firstLang, language } from './words.svelte';

const at = (s: number) => new Date(s * 1000).toISOString();
const segment = (from: number, to: number, c: Segment['class'], open = false): Segment => ({ machine: 'm', from: at(from), to: at(to), class: c, open });
const machine = (c: Machine['class'], since: number, through: number) => ({ id: 'm', class: c, small: false, since: at(since), through: at(through) }) as Machine;
const shape = (pieces: ReturnType<typeof row>) => pieces.map((p) => `${p.look} ${p.from / 1000}-${p.to / 1000}${p.open ? '+' : ''}`);

describe('a row of the timeline', () => {
  test('is what was read, and unknown between', () => {
    expect(shape(row([segment(0, 100, 'run'), segment(130, 200, 'stop')], undefined, 0, 200_000))).toEqual(['run 0-100', 'unknown 100-130', 'stop 130-200']);
  });
  test('goes on with what the machine says now', () => {
    expect(shape(row([segment(0, 100, 'run', true)], machine('run', 0, 160), 0, 200_000))).toEqual(['run 0-160+']);
    expect(shape(row([segment(0, 100, 'run', true)], machine('stop', 80, 160), 0, 200_000))).toEqual(['run 0-80', 'stop 80-160+']);
  });
  test('does not guess what comes after the machine was last heard of', () => {
    expect(shape(row([], machine('stop', 20, 60), 0, 200_000))).toEqual(['unknown 0-20', 'stop 20-60+']);
  });
  test('an older word of the machine changes nothing', () => {
    expect(shape(row([segment(0, 50, 'run'), segment(50, 90, 'stop')], machine('run', 0, 40), 0, 90_000))).toEqual(['run 0-50', 'stop 50-90']);
  });
  test('leaves out what is over, and cuts nothing that reaches in', () => {
    expect(shape(row([segment(0, 10, 'run'), segment(10, 90, 'stop')], undefined, 50_000, 90_000))).toEqual(['stop 10-90']);
  });
  test('keeps to the calendar: a stop is none in a break, running is', () => {
    const shift = { name: 'day', day: '', from: at(0), to: at(150), breaks: [{ from: at(100), to: at(120) }] };
    const stopped = shape(row([], machine('stop', 80, 160), 80_000, 160_000, [shift]));
    expect(stopped).toEqual(['stop 80-100', 'not_scheduled 100-120', 'stop 120-150', 'not_scheduled 150-160+']);
    expect(shape(row([], machine('run', 80, 160), 80_000, 160_000, [shift]))).toEqual(['run 80-160+']);
  });
  test('a short stop of the past is a small one', () => expect(shape(row([{ ...segment(0, 5, 'stop'), small: true }], undefined, 0, 5000))).toEqual(['small 0-5']));
  test('an empty row is unknown', () => expect(shape(row([], undefined, 0, 5000))).toEqual(['unknown 0-5']));
  test('a finger beside a short stop means the stop', () => {
    const pieces = row([segment(0, 100, 'run'), segment(100, 101, 'stop'), segment(101, 200, 'run')], undefined, 0, 200_000);
    expect(nearest(pieces, 97_000, 10_000)?.look).toBe('stop');
    expect(nearest(pieces, 50_000, 10_000)?.look).toBe('run');
    expect(nearest([], 5, 10)).toBeNull();
  });
  test('has few and round marks', () => {
    expect(ticks(100_000, 8 * 3_600_000, 5).map((t) => t / 60_000)).toEqual([120, 240, 360]);
  });
});

test('a small stop is amber, waiting stays waiting', () => {
  expect([look('stop', true), look('stop', false), look('starved', true), look('run', false)]).toEqual(['small', 'stop', 'starved', 'run']);
});

describe('the curve', () => {
  const bucket = (from: number, value: number | null, bad = 0): Bucket => ({ from: at(from), to: at(from + 10), count: value == null ? 0 : 2, bad, min: value == null ? null : value - 1, max: value, mean: value == null ? null : value - 0.5, last: value });
  test('holds its value where nothing changed, and breaks where all was bad', () => {
    const c = columns([bucket(0, 1), bucket(10, null), bucket(20, null, 3), bucket(30, 4, 1)], false);
    expect(c).toEqual({ x: [0, 20, 30], min: [0, null, 3], max: [1, null, 4], line: [0.5, null, 3.5] });
  });
  test('whole numbers are drawn as they ended', () => expect(columns([bucket(0, 7)], true).line).toEqual([7]));
  test('begins with the value before it, where nothing is known yet', () => {
    expect(columns([bucket(0, null), bucket(10, 3)], true, 2)).toMatchObject({ x: [0, 10], line: [2, 3] });
    expect(columns([bucket(0, 5)], true, 2).line).toEqual([5]);
    expect(columns([bucket(0, null, 1)], true, 2).line).toEqual([null]);
    expect(columns([bucket(0, null)], true, 2)).toMatchObject({ x: [0], line: [2] });
  });
  test('moves on', () => {
    const c = columns([bucket(0, 1), bucket(10, 3)], true);
    append(c, 9, 9, 0, true); // not newer
    append(c, 30, 7, 12, true);
    append(c, 40, 7, 12, true);
    append(c, 50, 7, 12, true); // unchanged: moves on
    expect(c).toEqual({ x: [12, 30, 50], min: [2, 7, 7], max: [3, 7, 7], line: [3, 7, 7] });
    append(c, 60, null, 12, true);
    expect(c.line).toEqual([3, 7, 7, null]);
    expect(extent(c)).toEqual({ min: 2, max: 7 });
    expect(extent(columns([bucket(0, null)], false))).toBeNull();
  });
  test('of measurements keeps each point, and none that is too old', () => {
    const c = columns([bucket(0, 1), bucket(10, 3)], false);
    append(c, 30, 3, 10, false);
    append(c, 40, 3, 11, false);
    expect(c.x).toEqual([30, 40]);
  });
  test('tells what is out of its limits', () => {
    const c = columns([bucket(0, 1), bucket(10, 3), bucket(20, 9), bucket(30, null, 1)], false);
    expect(outside(c, { lsl: 1, usl: 8 })).toEqual([0, null, 9, null]);
    expect(outside(c, {})).toEqual([null, null, null, null]);
  });
  test('takes no bad reading for a number', () => {
    const s = (value: Signal['value'], quality: Signal['quality'] = 'good') => numeric({ value, quality } as Signal);
    expect([s(1.5), s(true), s('jam'), s(null, 'bad'), s(4, 'bad'), s(4, 'uncertain')]).toEqual([1.5, 1, null, null, null, 4]);
  });
});

describe('what is live', () => {
  const alert = (id: string, severity: Alert['severity'], since: number, state: Alert['state'] = 'unacknowledged') => ({ id, severity, since: at(since), state }) as Alert;
  test('alerts are in order, a closed one goes', () => {
    let all = withAlert([], alert('a', 'low', 3));
    all = withAlert(all, alert('b', 'high', 1));
    all = withAlert(all, alert('c', 'high', 2));
    expect(all.map((a) => a.id)).toEqual(['c', 'b', 'a']);
    all = withAlert(all, alert('c', 'high', 2, 'acknowledged'));
    expect(all[0]?.state).toBe('acknowledged');
    expect(withAlert(all, alert('b', 'high', 1, 'normal')).map((a) => a.id)).toEqual(['c', 'a']);
  });
  test('lines keep their place', () => expect(put([{ id: 'a', n: 1 }, { id: 'b', n: 1 }], { id: 'a', n: 2 }, (x) => x.id)).toEqual([{ id: 'a', n: 2 }, { id: 'b', n: 1 }]));
  test('the next try waits longer, but not for ever', () => {
    expect([0, 1, 4, 50].map((n) => backoff(n, 0.5))).toEqual([500, 1000, 8000, 8000]);
    expect(backoff(3, 1)).toBeGreaterThan(backoff(3, 0));
  });
});

describe('pages', () => {
  test.each([
    ['/', { name: 'overview' }], ['/lines', { name: 'lines' }], ['/lines/', { name: 'lines' }], ['/lines/mcb-a', { name: 'line', id: 'mcb-a' }], ['/lines/a%20b', { name: 'line', id: 'a b' }],
    ['/lines/%E0%A4%A', { name: 'missing' }], ['/gateways', { name: 'gateways' }], ['/scorecard', { name: 'scorecard' }], ['/quality', { name: 'missing' }], ['/lines/a/b', { name: 'missing' }],
  ])('%s', (path, want) => expect(page(path)).toEqual(want));
});

describe('language', () => {
  test.each([
    ['?lang=zh', 'en', ['en-GB'], 'zh'], ['?lang=fr', 'zh', ['en'], 'zh'], ['', null, ['zh-CN', 'en'], 'zh'], ['', null, ['de', 'zh'], 'en'], ['', 'en', ['zh'], 'en'], ['', null, [], 'en'],
  ] as const)('%s, saved %s, browser %s', (search, saved, browser, want) => expect(firstLang(search, saved, browser)).toBe(want));
  test('fills in', () => expect(fill('{a} of {b}, {c}', { a: 1, b: 'x' })).toBe('1 of x, {c}'));
});

describe('what the server says', () => {
  test('is told with times of the site, and stays as it is where it is not known', () => {
    expect(said('no data since 2026-03-02T04:05:06.789Z')).toMatch(/^no data since .*04:05:06$/);
    expect(said('state is bad: no answer')).toBe('state not readable: no answer');
    expect(said('every signal is bad: no data for more than 3s')).toBe('every signal is bad: no data for more than 3s');
    expect(said('BadNodeIdUnknown')).toBe('BadNodeIdUnknown');
    expect(said(undefined)).toBe('');
  });
  test('is Chinese on a Chinese page, for every text of the figures', () => {
    language.now = 'zh';
    const source = readFileSync(join(import.meta.dirname, '../../../../plant/window_figures.go'), 'utf8');
    const texts = [...source.matchAll(/(?:why = |why := |lacks\([^,]+, |noCycle = )"([^"]+)"/g)].map((m) => m[1]);
    expect(texts.length).toBeGreaterThan(5);
    for (const text of texts) expect(said(text), text).toMatch(/[\u4e00-\u9fff]/);
    language.now = 'en';
  });
  test('is Chinese for what is said of who a gateway is', () => {
    language.now = 'zh';
    const source = ['identity.go', 'shared.go'].map((f) => readFileSync(join(import.meta.dirname, '../../../../twin', f), 'utf8')).join('');
    const texts = [...source.matchAll(/Sprintf\("([^"]+)"/g)].map((m) => (m[1] ?? '').replaceAll(/%[sdv]/g, '7'));
    expect(texts.length).toBe(4);
    for (const text of texts) expect(said(text), text).toMatch(/[\u4e00-\u9fff]/);
    language.now = 'en';
  });
  test('is Chinese for every remark of an OPC UA device', () => {
    language.now = 'zh';
    const source = readFileSync(join(import.meta.dirname, '../../../../connectors/opcua/tally.go'), 'utf8');
    const texts = [...source.matchAll(/Sprintf\("((?:polled|deadband|the server)[^"]+)"/g)].map((m) => (m[1] ?? '').replaceAll(/%[sdv]/g, '7'));
    expect(texts.length).toBeGreaterThan(5);
    for (const text of texts) expect(said(text), text).toMatch(/[\u4e00-\u9fff]/);
    language.now = 'en';
  });
});
