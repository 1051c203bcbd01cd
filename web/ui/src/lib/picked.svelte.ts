import { get } from './api';
import { refusal, said } from './saying';
import { session } from './session.svelte';
import { look, most, take, wrongCells, type Found, type Known, type TableKind, type Wrong } from './tables';
import type { ProductPlan } from './types';
import { t } from './words.svelte';

/** A file that was picked, what was found in it, and what became of it. */
export class Picked {
  name = $state('');
  found = $state.raw<Found | null>(null);
  wrong = $state.raw<Wrong[]>([]);
  known = $state.raw<Known>({ entries: [], products: [] });
  error = $state('');
  doing = $state<'' | 'look' | 'take'>('');
  taken = $state<number | null>(null);
  private file: File | null = null;

  constructor(readonly kind: TableKind) {}

  /** Looks at a file; what was found in another one is forgotten. */
  async look(file: File) {
    this.file = file;
    this.name = file.name;
    this.found = this.taken = null;
    this.wrong = [];
    this.error = file.size > most ? t('csv.large') : '';
    if (this.error) return;
    await this.send('look', async () => {
      const [entries, products] = await Promise.all([said('order'), get<ProductPlan[]>('/products')]);
      this.known = { entries, products };
      this.found = await look(this.kind, file, session.name);
    });
  }

  /** Says what is new in it; true once it is taken. */
  async take(why: string): Promise<boolean> {
    const file = this.file;
    if (!file) return false;
    return this.send('take', async () => {
      this.taken = (await take(this.kind, file, session.name, why)).taken.length;
      this.found = null;
    });
  }

  private async send(what: 'look' | 'take', f: () => Promise<void>): Promise<boolean> {
    this.doing = what;
    this.error = '';
    try {
      await f();
      return true;
    } catch (e) {
      this.wrong = wrongCells(e);
      if (this.wrong.length > 0) this.found = null;
      else this.error = refusal(e);
      return false;
    } finally {
      this.doing = '';
    }
  }
}
