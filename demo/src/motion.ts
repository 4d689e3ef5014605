/** How long a movement takes: no time for those who asked for less motion. */
import { prefersReducedMotion } from 'svelte/motion'

export const calm = (milliseconds: number): number => (prefersReducedMotion.current ? 0 : milliseconds)
