/** Reads the packs that pass between nodes, as whoever stands on the way can: names and tables follow from what passed before. */
import { isRefusal, limits } from '@weft-db/engine'
import { decode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { inflatePack } from '../../packages/engine/src/commit/deflated.ts'
import { PackReader } from '../../packages/engine/src/commit/packreader.ts'
import { itemsPerMessage } from '../../packages/engine/src/sync/message.ts'
import { sha256 } from './shelf.ts'

const frames = { greet: 0, subscribe: 6, sync: 7 }
const packed = 12

interface Direction {
  readonly paths: Map<number, string>
  readonly readers: Map<number, PackReader>
}

export class PackTap {
  readonly #directions = new WeakMap<object, Direction>()
  #network = ''

  /** The records in a frame's pack; undefined when it has none. `end`: of the channel that it left by; `network`: where greetings do not tell. */
  see(end: object, message: Uint8Array, network?: string): readonly Uint8Array[] | undefined {
    const frame = decode(message)
    if (isRefusal(frame) || !Array.isArray(frame)) return undefined
    const [, kind, tag, body] = frame as readonly Plain[]
    let direction = this.#directions.get(end)
    if (direction === undefined) {
      direction = { paths: new Map(), readers: new Map() }
      this.#directions.set(end, direction)
    }
    if (network !== undefined) this.#network = network
    if (kind === frames.greet && frame[3] instanceof Uint8Array) this.#network = Buffer.from(frame[3]).toString('hex')
    if (kind === frames.subscribe && typeof body === 'string') {
      direction.paths.set(Number(tag), body)
      direction.readers.delete(Number(tag))
    }
    if (kind !== frames.sync || !Array.isArray(body) || body[0] !== packed || !(body[4] instanceof Uint8Array))
      return undefined
    const repository = direction.paths.get(Number(tag)) ?? ''
    let reader = direction.readers.get(Number(tag))
    if (reader === undefined) {
      const most = { commits: itemsPerMessage, bytes: limits.frameBytes }
      reader = new PackReader({ network: this.#network, repository }, sha256, most)
      direction.readers.set(Number(tag), reader)
    }
    const pack = inflatePack(body[4])
    const records = isRefusal(pack) ? pack : reader.unpack(pack)
    if (isRefusal(records)) throw new Error(`a pack is ${records.code}: ${records.about}`)
    return records.map(({ bytes }) => bytes)
  }
}
