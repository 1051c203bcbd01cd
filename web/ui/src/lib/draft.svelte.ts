import { refusal, preview, takeBack, tell, type Saying } from './saying';
import type { Effect, Entry } from './types';

/** A form whose change is shown before it is saved, and may be taken back after. */
export class Draft {
  effects = $state.raw<Effect[] | null>(null);
  taken = $state.raw<Entry | null>(null);
  error = $state('');
  sending = $state('');
  private shown = '';

  /** Whether the preview is of what would be saved now. */
  isShown(s: Saying): boolean {
    return this.effects !== null && this.shown === JSON.stringify(s);
  }

  async preview(s: Saying) {
    const text = JSON.stringify(s);
    await this.send('preview', async () => {
      this.effects = await preview(s);
      this.shown = text;
    });
  }

  /** Says it; true once it is taken. */
  async save(s: Saying): Promise<boolean> {
    return this.send('save', async () => {
      this.taken = await tell(s);
      this.effects = null;
    });
  }

  async undo(id: number): Promise<boolean> {
    return this.send('undo', async () => void (this.taken = await takeBack(id)));
  }

  private async send(what: string, f: () => Promise<void>): Promise<boolean> {
    this.sending = what;
    this.error = '';
    try {
      await f();
      return true;
    } catch (e) {
      this.error = refusal(e);
      return false;
    } finally {
      this.sending = '';
    }
  }
}
