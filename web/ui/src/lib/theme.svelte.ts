const kept = 'linetwin.theme';

type Theme = 'system' | 'light' | 'dark';

/** Light, dark, or as the system. public/before.js applies what is kept before the first paint. */
class ThemeChoice {
  now = $state<Theme>('system');

  start() {
    const set = document.documentElement.dataset.theme;
    if (set === 'light' || set === 'dark') this.now = set;
  }

  next() {
    const order: Theme[] = ['system', 'light', 'dark'];
    this.now = order[(order.indexOf(this.now) + 1) % order.length] ?? 'system';
    if (this.now === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.now;
    try {
      localStorage.setItem(kept, this.now);
    } catch {
      // nothing is kept; the choice holds for this page
    }
  }
}

export const theme = new ThemeChoice();
