import { en, type Key } from '../words/en';
import { zh } from '../words/zh';
import type { Name } from './types';

export type Lang = 'en' | 'zh';

const kept = 'linetwin.lang';

/** The language to begin with: asked for in the address, chosen before, or the browser's. */
export function firstLang(search: string, saved: string | null, browser: readonly string[]): Lang {
  const asked = new URLSearchParams(search).get('lang');
  for (const l of [asked, saved]) if (l === 'en' || l === 'zh') return l;
  return browser[0]?.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

/** Puts what is filled in into a text. */
export function fill(text: string, values?: Record<string, string | number>): string {
  return values ? text.replace(/\{(\w+)\}/g, (whole, k: string) => String(values[k] ?? whole)) : text;
}

function read(): string | null {
  try {
    return localStorage.getItem(kept);
  } catch {
    return null; // a browser that keeps nothing asks each time
  }
}

class Language {
  now = $state<Lang>('en');

  start() {
    this.apply(firstLang(location.search, read(), navigator.languages));
  }

  choose(lang: Lang) {
    this.apply(lang);
    const url = new URL(location.href);
    if (url.searchParams.has('lang')) {
      url.searchParams.set('lang', lang);
      history.replaceState(null, '', url);
    }
    try {
      localStorage.setItem(kept, lang);
    } catch {
      // nothing is kept; the choice holds for this page
    }
  }

  private apply(lang: Lang) {
    this.now = lang;
    document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
  }
}

export const language = new Language();

/** A text in the reader's language. */
export function t(key: Key, values?: Record<string, string | number>): string {
  return fill((language.now === 'zh' ? zh : en)[key], values);
}

/** Whether there is such a text. */
export function isKey(key: string): key is Key {
  return key in en;
}

/** What people call a thing, in the reader's language or in the other one. */
export function named(n: Name | null | undefined): string {
  if (!n) return '';
  return language.now === 'zh' ? n.zh || n.en : n.en || n.zh;
}
