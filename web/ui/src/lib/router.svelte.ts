const plain = ['lines', 'gateways', 'scorecard', 'orders', 'calendars', 'cycles'] as const;
const ofLine = { '': 'line', stops: 'stops', shifts: 'shifts' } as const;

export type Page = { name: 'overview' | 'missing' | (typeof plain)[number] } | { name: (typeof ofLine)[keyof typeof ofLine]; id: string };

/** The page that a path names. */
export function page(path: string): Page {
  const p = path.replace(/\/+$/, '') || '/';
  if (p === '/') return { name: 'overview' };
  const known = plain.find((n) => p === '/' + n);
  if (known) return { name: known };
  const line = /^\/lines\/([^/]+)(?:\/(stops|shifts))?$/.exec(p);
  if (line?.[1]) {
    try {
      return { name: ofLine[(line[2] ?? '') as keyof typeof ofLine], id: decodeURIComponent(line[1]) };
    } catch {
      return { name: 'missing' }; // broken escape
    }
  }
  return { name: 'missing' };
}

class Router {
  now = $state.raw<Page>({ name: 'overview' });

  /** Takes the page that the address names. */
  read() {
    this.now = page(location.pathname);
  }

  /** Follows links inside the pages without loading anew; gives what ends it. */
  start(): () => void {
    const click = (e: MouseEvent) => {
      const link = (e.target as Element).closest?.('a');
      if (!link || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
      if (link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
      if (link.pathname.startsWith('/api/') || link.hash) return;
      e.preventDefault();
      this.go(link.pathname);
    };
    const back = () => this.read();
    addEventListener('click', click);
    addEventListener('popstate', back);
    return () => {
      removeEventListener('click', click);
      removeEventListener('popstate', back);
    };
  }

  go(path: string) {
    history.pushState(null, '', path + location.search);
    this.now = page(path);
    scrollTo(0, 0);
  }
}

export const router = new Router();
