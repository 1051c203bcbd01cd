import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { en } from './en';
import { zh } from './zh';

const places = (text: string) => (text.match(/\{\w+\}/g) ?? []).toSorted();

describe('words', () => {
  test('both languages have every key', () => {
    expect(Object.keys(zh).toSorted()).toEqual(Object.keys(en).toSorted());
  });

  test.each(Object.keys(en) as (keyof typeof en)[])('%s says the same in both', (key) => {
    expect(zh[key].trim()).not.toBe('');
    expect(en[key].trim()).not.toBe('');
    expect(places(zh[key])).toEqual(places(en[key]));
  });

  test('no text is left in English by mistake', () => {
    const same = Object.keys(en).filter((k) => en[k as keyof typeof en] === zh[k as keyof typeof en]);
    expect(same).toEqual(['oee.title']);
  });

  test('every key is used', () => {
    const files = (dir: string): string[] => readdirSync(dir, { withFileTypes: true }).flatMap((f) => (f.isDirectory() ? files(join(dir, f.name)) : [join(dir, f.name)]));
    const source = files(join(import.meta.dirname, '..'))
      .filter((f) => /\.(svelte|ts)$/.test(f) && !/words\/(en|zh)(-said)?\.ts$|\.test\.ts$/.test(f))
      .map((f) => readFileSync(f, 'utf8'))
      .join('\n');
    // Keys that are put together at run time are known by their first part.
    const built = ['state', 'packml', 'severity', 'link', 'time', 'loss', 'flag', 'signal', 'notices', 'said', 'score', 'theme', 'shift', 'role', 'unit', 'audit', 'stops', 'nav', 'day', 'calendar', 'order', 'report', 'csv'];
    const unused = Object.keys(en).filter((k) => !source.includes(`'${k}'`) && !(built.includes(k.split('.')[0] ?? '') && source.includes(`${k.split('.')[0]}.`)));
    expect(unused).toEqual([]);
  });
});
