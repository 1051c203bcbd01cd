import { get } from './api';

const kept = 'linetwin.name';

/** Who reads, and whether LineTwin takes actions from here. */
class Session {
  actions = $state(true);
  why = $state('');
  name = $state('');

  async start() {
    try {
      this.name = localStorage.getItem(kept) ?? '';
    } catch {
      // nothing is kept; the name is asked for each time
    }
    try {
      const s = await get<{ actions: boolean; why?: string }>('/session');
      this.actions = s.actions;
      this.why = s.why ?? '';
    } catch {
      // the server answers with a reason when an action is tried
    }
  }

  rename(name: string) {
    this.name = name;
    try {
      localStorage.setItem(kept, name);
    } catch {
      // see start
    }
  }
}

export const session = new Session();
