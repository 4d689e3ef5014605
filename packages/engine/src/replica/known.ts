/**
 * Where this replica stood when it was last level with another's store: what makes the next meeting cost little. It is kept in the log
 * behind the commits it speaks of, so that a log that lost some of them never claims to hold them. The newest places are kept.
 *
 *     known = [store (8 bytes), place, hash (4 bytes), count]
 */
import { toHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import { isBytes, isInteger, isList } from '../bytes/shape.ts'
import { prefixBytes } from '../sync/message.ts'
import type { Known } from '../sync/session.ts'

export const storeBytes = 8
const mostStores = 64

export class KnownStores {
  readonly #byStore = new Map<string, Known>()

  /** `store`: hex. */
  of(store: string): Known | undefined {
    return this.#byStore.get(store)
  }

  #keep(store: string, known: Known): void {
    this.#byStore.delete(store)
    this.#byStore.set(store, known)
    for (const oldest of this.#byStore.keys()) {
      if (this.#byStore.size <= mostStores) return
      this.#byStore.delete(oldest)
    }
  }

  /** Takes a stored place back in. What cannot be read is as good as forgotten. `held`: commits that stand before it in the log. */
  read(payload: Uint8Array, held: number): void {
    const plain = decode(payload)
    if (!Array.isArray(plain) || !isList(plain, 4, 4)) return
    const [store, place, hash, count] = plain
    if (!isBytes(store, storeBytes) || !isInteger(place) || !isBytes(hash, prefixBytes) || !isInteger(count, 0, held))
      return
    this.#keep(toHex(store), { cursor: { place, hash }, count })
  }

  /** Remembers a place, and gives it to be stored; undefined when it is known already. */
  remember(store: Uint8Array, known: Known): Uint8Array | undefined {
    const { cursor, count } = known
    const before = this.#byStore.get(toHex(store))
    if (before?.cursor.place === cursor.place && before.count === count) return undefined
    this.#keep(toHex(store), known)
    return encode([store, cursor.place, cursor.hash, count])
  }
}
