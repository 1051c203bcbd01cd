export type Page = { name: 'overview' | 'lines' | 'gateways' | 'scorecard' | 'missing' } | { name: 'line'; id: string };

/** The page that a path names. */
export function page(path: string): Page {
  const p = path.replace(/\/+$/, '') || '/';
  if (p === '/') return { name: 'overview' };
  if (p === '/lines' || p === '/gateways' || p === '/scorecard') return { name: p.slice(1) as 'lines' };
  const line = /^\/lines\/([^/]+)$/.exec(p);
  if (line?.[1]) {
    try {
      return { name: 'line', id: decodeURIComponent(line[1]) };
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
