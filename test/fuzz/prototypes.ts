/** The prototypes every object shares. Input that changes one changes the whole program: what they hold is compared with what it was. */
const shared: readonly (readonly [name: string, prototype: object])[] = [
  ['Object', Object.prototype],
  ['Array', Array.prototype],
  ['Function', Function.prototype],
  ['String', String.prototype],
  ['Number', Number.prototype],
  ['Map', Map.prototype],
  ['Set', Set.prototype],
  ['Uint8Array', Uint8Array.prototype],
]

type Descriptors = ReadonlyMap<string | symbol, PropertyDescriptor>

const descriptorsOf = (prototype: object): Descriptors =>
  new Map(
    Reflect.ownKeys(prototype).flatMap((key) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(prototype, key)
      return descriptor === undefined ? [] : [[key, descriptor] as const]
    }),
  )

const before = shared.map(([name, prototype]) => ({ name, prototype, held: descriptorsOf(prototype) }))

/** What is no longer as it was when the program began; put back, so that the next change is seen too. */
export const changedPrototype = (): string | undefined => {
  for (const { name, prototype, held } of before) {
    const now = descriptorsOf(prototype)
    for (const key of new Set([...held.keys(), ...now.keys()])) {
      const [was, is] = [held.get(key), now.get(key)]
      if (was !== undefined && is !== undefined && was.value === is.value && was.get === is.get && was.set === is.set)
        continue
      if (was === undefined) Reflect.deleteProperty(prototype, key)
      else Object.defineProperty(prototype, key, was)
      return `${name}.prototype.${String(key)}`
    }
  }
  return undefined
}
