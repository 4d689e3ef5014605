/** Light, dark, or as the system says; the choice is remembered and set on the root element, where the colours read it. */
import { recall, remember } from './preference.ts'

export type ThemeChoice = 'system' | 'light' | 'dark'

const isChoice = (value: string | undefined): value is ThemeChoice =>
  value === 'system' || value === 'light' || value === 'dark'

class Theme {
  #choice = $state<ThemeChoice>('system')

  constructor() {
    const recalled = recall('theme')
    this.choose(isChoice(recalled) ? recalled : 'system')
  }

  get choice(): ThemeChoice {
    return this.#choice
  }

  choose(choice: ThemeChoice): void {
    this.#choice = choice
    remember('theme', choice)
    if (choice === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = choice
  }

  next(): void {
    this.choose(this.#choice === 'system' ? 'light' : this.#choice === 'light' ? 'dark' : 'system')
  }
}

export const theme = new Theme()
