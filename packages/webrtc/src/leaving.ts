/**
 * The page is going away: it is closed, left, or frozen to be kept for a return. What runs in it is not told later, and its peers would
 * learn of it only after seconds of silence, so its channels are closed at once. When the page returns, whoever dials dials again.
 */
export type Leaving = (now: (reason: string) => void) => () => void

/** Where it is told. Workers have no page, Node has neither. */
export interface Surroundings {
  readonly device?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'> | undefined
  readonly page?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'> | undefined
}

export const leavingOf =
  ({ device, page }: Surroundings): Leaving =>
  (now) => {
    const hidden = (): void => now('the page was left')
    const frozen = (): void => now('the page was frozen')
    device?.addEventListener('pagehide', hidden)
    page?.addEventListener('freeze', frozen)
    return () => {
      device?.removeEventListener('pagehide', hidden)
      page?.removeEventListener('freeze', frozen)
    }
  }

export const browserLeaving: Leaving = leavingOf({
  device: typeof addEventListener === 'function' ? globalThis : undefined,
  page: typeof document === 'undefined' ? undefined : document,
})
