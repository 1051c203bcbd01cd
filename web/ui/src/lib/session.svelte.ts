import { get } from './api';

const kept = 'linetwin.name';
const keptNames = 'linetwin.names';
const mostNames = 6;

/** Who reads, and whether LineTwin takes actions from here. */
class Session {
  actions = $state(true);
  why = $state('');
  name = $state('');
  /** Who spoke from this browser, the latest first: a terminal is shared by a crew. */
  names = $state.raw<string[]>([]);

  async start() {
    try {
      this.name = localStorage.getItem(kept) ?? '';
      this.names = list(localStorage.getItem(keptNames));
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
    this.names = [name, ...this.names.filter((n) => n !== name)].slice(0, mostNames);
    try {
      localStorage.setItem(kept, name);
      localStorage.setItem(keptNames, JSON.stringify(this.names));
    } catch {
      // see start
    }
  }
}

function list(text: string | null): string[] {
  try {
    const all: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(all) ? all.filter((n) => typeof n === 'string').slice(0, mostNames) : [];
  } catch {
    return []; // somebody else wrote there
  }
}

export const session = new Session();
