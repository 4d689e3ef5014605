/** Short notices at the foot of the page, each with at most one action; they leave by themselves unless somebody is at them. */
export interface Toast {
  readonly id: number
  readonly text: string
  readonly action?: { readonly label: string; readonly run: () => void }
}

const lifetime = 8000

class Toasts {
  list = $state.raw<readonly Toast[]>([])
  #next = 0
  #timers = new Map<number, ReturnType<typeof setTimeout>>()

  show(text: string, action?: Toast['action']): void {
    const toast = { id: this.#next++, text, ...(action ? { action } : {}) }
    this.list = [...this.list.slice(-2), toast]
    this.resume(toast.id)
  }

  /** A sentence that may come again while it is still shown. */
  say(text: string): void {
    const shown = this.list.find((toast) => toast.text === text)
    if (shown === undefined) this.show(text)
    else this.resume(shown.id)
  }

  dismiss(id: number): void {
    this.hold(id)
    this.list = this.list.filter((toast) => toast.id !== id)
  }

  act(toast: Toast): void {
    this.dismiss(toast.id)
    toast.action?.run()
  }

  hold(id: number): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }

  resume(id: number): void {
    this.hold(id)
    this.#timers.set(
      id,
      setTimeout(() => this.dismiss(id), lifetime),
    )
  }
}

export const toasts = new Toasts()
