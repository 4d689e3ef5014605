/**
 * Rows of histories that must end the same whatever the order of delivery, and as somebody who knows everything says: with fences at any
 * time, with chains that fork, with access that ends. A trial is one order.
 */
import { equivocations, fenceOrders, revocations as revoked, type Tried, type TryOptions } from '../../sim/fences.ts'
import type { Row } from '../row.ts'

const row =
  (tried: (options: TryOptions) => Promise<Tried>): Row =>
  async ({ trials, seed }) => {
    const { violations, first, fates, ...rest } = await tried({ trials, seed })
    const met = Object.entries(fates).map(([fate, changes]) => `${fate} ${changes}`)
    return { trials: rest.trials, violations, first: first ?? '', changes: met.join(', ') }
  }

export const fences = row(fenceOrders)
export const forks = row(equivocations)
export const revocations = row(revoked)
