import type { Snippet } from 'svelte';

/** The one sheet over the page: the story behind what was tapped. */
class Sheet {
  title = $state('');
  body = $state.raw<Snippet | string | null>(null);

  show(title: string, body: Snippet | string) {
    this.title = title;
    this.body = body;
  }

  close() {
    this.body = null;
  }
}

export const sheet = new Sheet();
