/**
 * Asking for what was dropped: the history of single items, from whoever has it. Messages of reconciliation (`message.ts`) with numbers of their own.
 *
 *     18 recall   = number, [[hash of the schema (32 bytes), item key], ...]     wanted: all commits that changed these items
 *     19 recalled = number, whole      they were pushed before this (round 0); or not all of them, because this side dropped some as well, or may not
 *                                      be asked so often
 */
import { fromHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { isBoolean, isBytes, isInteger, isList } from '../bytes/shape.ts'

export interface ItemName {
  /** Hash of the schema's definition, hex. */
  readonly schema: string
  readonly key: string
}

export type Recalling =
  | { readonly kind: 'recall'; readonly number: number; readonly items: readonly ItemName[] }
  | { readonly kind: 'recalled'; readonly number: number; readonly whole: boolean }

const first = 18

export const encodeRecalling = (message: Recalling): Plain =>
  message.kind === 'recall'
    ? [first, message.number, message.items.map(({ schema, key }) => [fromHex(schema), key])]
    : [first + 1, message.number, message.whole]

/** Undefined where it is a message of another kind. */
export const decodeRecalling = (message: Plain): Recalling | Refusal | undefined => {
  if (!isList(message, 1, 6) || (message[0] !== first && message[0] !== first + 1)) return undefined
  const [kind, number, rest, ...more] = message
  if (!isInteger(number, 0) || more.length > 0) return refusal('Malformed', 'recall')
  if (kind === first + 1)
    return isBoolean(rest) ? { kind: 'recalled', number, whole: rest } : refusal('Malformed', 'recalled')
  if (!Array.isArray(rest) || !isList(rest, 1, limits.recallItems)) return refusal('Malformed', 'recall')
  const items: ItemName[] = []
  for (const one of rest) {
    if (!Array.isArray(one) || !isList(one, 2, 2)) return refusal('Malformed', 'recall')
    const [schema, key] = one
    if (!isBytes(schema, 32) || typeof key !== 'string' || key === '' || utf8Length(key) > limits.nameBytes)
      return refusal('Malformed', 'recall')
    items.push({ schema: toHex(schema), key })
  }
  return { kind: 'recall', number, items }
}
