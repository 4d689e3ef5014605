/**
 * Makes a failing plan small: fewer events, fewer edits, fewer nodes, fewer faults, as long as it still fails. Delta debugging (Zeller and
 * Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the lists, then one fault after the other off, until
 * nothing more can go.
 */
import { soundDisk } from './files.ts'
import { type NodePlan, nodesOf, type Plan, type PlanEvent, soundNode } from './plan.ts'
import { soundNetwork } from './wiring.ts'

/** A sublist that still fails and of which no single item can be left out. `fails` must hold for the whole list. */
export const minimize = async <Item>(
  items: readonly Item[],
  fails: (items: readonly Item[]) => Promise<boolean>,
): Promise<readonly Item[]> => {
  let kept = items
  let parts = 2
  while (kept.length > 0) {
    const size = Math.ceil(kept.length / parts)
    let smaller: readonly Item[] | undefined
    for (let start = 0; start < kept.length && smaller === undefined; start += size) {
      const rest = [...kept.slice(0, start), ...kept.slice(start + size)]
      if (await fails(rest)) smaller = rest
    }
    if (smaller !== undefined) {
      kept = smaller
      parts = Math.max(2, parts - 1)
    } else if (size === 1) break
    else parts = Math.min(kept.length, 2 * parts)
  }
  return kept
}

const without = (plan: Plan, name: string): Plan => ({
  ...plan,
  nodes: plan.nodes.filter((node) => node.name !== name),
  destroys: plan.destroys === name ? null : plan.destroys,
  events: plan.events.flatMap((event): PlanEvent[] => {
    if (event.kind !== 'partition') return nodesOf(event).includes(name) ? [] : [event]
    const left = event.left.filter((node) => node !== name)
    const right = event.right.filter((node) => node !== name)
    return left.length > 0 && right.length > 0 ? [{ ...event, left, right }] : []
  }),
})

/** One copy for each field that differs from `sound`, with that field sound. */
const milderFields = <Faults extends object>(faults: Faults, sound: Faults): Faults[] => {
  const names = Object.keys(sound) as (keyof Faults)[]
  return names.filter((name) => faults[name] !== sound[name]).map((name) => ({ ...faults, [name]: sound[name] }))
}

const milderNodes = (node: NodePlan): NodePlan[] => {
  const sound = soundNode(node.name, node.role)
  const equal = (left: object, right: object): boolean => JSON.stringify(left) === JSON.stringify(right)
  return [
    ...(equal(node, sound) ? [] : [sound]),
    ...milderFields(node.disk, soundDisk).map((disk) => ({ ...node, disk })),
    ...milderFields(node.clock, sound.clock).map((clock) => ({ ...node, clock })),
    ...(node.cryptoDelay === sound.cryptoDelay ? [] : [{ ...node, cryptoDelay: sound.cryptoDelay }]),
    ...(node.lateness === sound.lateness ? [] : [{ ...node, lateness: sound.lateness }]),
  ]
}

/** Plans that are simpler in one respect, the boldest first. */
const milder = (plan: Plan): Plan[] => [
  ...plan.nodes.filter((node) => node.role !== 'server').map((node) => without(plan, node.name)),
  ...milderFields(plan.network, soundNetwork).map((network) => ({ ...plan, network })),
  ...plan.nodes.flatMap((node, index) =>
    milderNodes(node).map((mild) => ({ ...plan, nodes: plan.nodes.with(index, mild) })),
  ),
]

/**
 * The smallest plan found within `budget` runs. `fails` answers whether a plan fails in the way that is looked for; another failure should
 * be a no, or the shrinker slips to it. Throws if the plan itself does not fail.
 */
export const shrink = async (plan: Plan, fails: (plan: Plan) => Promise<boolean>, budget = 1000): Promise<Plan> => {
  let runs = 0
  let best = plan
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (runs++ >= budget || !(await fails(candidate))) return false
    best = candidate
    return true
  }
  if (!(await attempt(plan))) throw new Error(`the plan of seed ${plan.seed} does not fail`)
  /** Cuts down the events of one sort while the others stay. */
  const fewer = async (sort: (event: PlanEvent) => boolean): Promise<void> => {
    const others = best.events.filter((event) => !sort(event))
    await minimize(best.events.filter(sort), (kept) => {
      const events = [...others, ...kept].sort((left, right) => left.at - right.at)
      return attempt({ ...best, events })
    })
  }
  for (let before: Plan | undefined; before !== best && runs < budget; ) {
    before = best
    await fewer((event) => event.kind !== 'edit')
    await fewer((event) => event.kind === 'edit')
    for (let simpler: Plan | undefined = best; simpler !== undefined; ) {
      simpler = undefined
      for (const candidate of milder(best)) {
        if (!(await attempt(candidate))) continue
        simpler = candidate
        break
      }
    }
  }
  return best
}
