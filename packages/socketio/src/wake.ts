/**
 * Hints that dialling may work now: the device came online, or the page is looked at again after its timers were slowed. A hint only
 * shortens a wait; it never ends a connection.
 */
export type Wake = (now: () => void) => () => void

/** Where the hints come from. Workers have no page, Node has neither. */
export interface Surroundings {
  readonly device?: Pick<EventTarget, 'addEventListener' | 'removeEventListener'> | undefined
  readonly page?:
    | (Pick<EventTarget, 'addEventListener' | 'removeEventListener'> & { readonly visibilityState: string })
    | undefined
}

export const wakeOf =
  ({ device, page }: Surroundings): Wake =>
  (now) => {
    const looked = (): void => {
      if (page?.visibilityState === 'visible') now()
    }
    device?.addEventListener('online', now)
    page?.addEventListener('visibilitychange', looked)
    return () => {
      device?.removeEventListener('online', now)
      page?.removeEventListener('visibilitychange', looked)
    }
  }

export const browserWake: Wake = wakeOf({
  device: typeof addEventListener === 'function' ? globalThis : undefined,
  page: typeof document === 'undefined' ? undefined : document,
})
