/**
 * The network between two ends of WebRTC attempts, as far as a test can hold it: every candidate that one end names is replaced by a
 * socket here, which passes packets on in both directions, as a NAT does. Those that are there when it is held keep them until it is released.
 */
import { createSocket, type Socket } from 'node:dgram'
import { isRefusal } from '@weft-db/engine'
import { type Candidate, readSignal, writeSignal } from '../../packages/webrtc/src/signal.ts'

type Kind = 'udp4' | 'udp6'

export class Detour {
  readonly #sockets = new Set<Socket>()
  /** The sockets there were when it was held, and what they would have passed on. */
  #held: { readonly sockets: ReadonlySet<Socket>; readonly packets: (() => void)[] } | undefined
  #ended = false
  /** Packets that were passed on. */
  passed = 0
  /** Everything is lost from now on. */
  cut = false

  /** The signal that the other end is given; none where a candidate cannot be passed on. */
  async carry(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const signal = readSignal(bytes)
    if (isRefusal(signal)) throw new Error(`${signal.code}: ${signal.about}`)
    if (signal.kind !== 'candidate') return bytes
    const parts = signal.candidate.split(' ')
    const [address = '', port = ''] = parts.slice(4)
    if (address.startsWith('fe80')) return
    parts[5] = String(await this.#front(address, Number(port)))
    const there: Candidate = { ...signal, candidate: parts.join(' ') }
    return this.#ended ? undefined : writeSignal(there)
  }

  hold(): void {
    this.#held ??= { sockets: new Set(this.#sockets), packets: [] }
  }

  release(): void {
    const packets = this.#held?.packets ?? []
    this.#held = undefined
    for (const pass of packets) pass()
  }

  async end(): Promise<void> {
    this.#ended = true
    const sockets = [...this.#sockets]
    this.#sockets.clear()
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => void socket.close(() => resolve()))))
  }

  /** Whoever sends to the port reaches the address behind it, and hears its answers from there. */
  async #front(address: string, port: number): Promise<number> {
    const kind = address.includes(':') ? 'udp6' : 'udp4'
    const backs = new Map<string, Socket | Promise<Socket>>()
    const front = await this.#socket(kind, address, (packet, from) => {
      const name = `${from.address} ${from.port}`
      const back = backs.get(name) ?? this.#socket(kind, address, (answer) => send(front, answer, from))
      if (!(back instanceof Promise)) return send(back, packet, { address, port })
      backs.set(name, back)
      void back.then((socket) => {
        backs.set(name, socket)
        send(socket, packet, { address, port })
      })
    })
    return front.address().port
  }

  async #socket(kind: Kind, address: string, hear: (packet: Buffer, from: Place) => void): Promise<Socket> {
    const socket = createSocket({ type: kind, recvBufferSize: 4_194_304, sendBufferSize: 4_194_304 })
    this.#sockets.add(socket)
    // A port nobody listens at any more is told of; the peers find out by themselves.
    socket.on('error', () => undefined)
    socket.on('message', (packet, from) => {
      if (this.cut) return
      this.passed += 1
      if (this.#held?.sockets.has(socket)) this.#held.packets.push(() => hear(packet, from))
      else hear(packet, from)
    })
    await new Promise<void>((resolve) => void socket.bind(0, address, resolve))
    if (this.#ended) socket.close()
    return socket
  }
}

interface Place {
  readonly address: string
  readonly port: number
}

const send = (by: Socket, packet: Buffer, to: Place): void => {
  try {
    by.send(packet, to.port, to.address)
  } catch {
    // It was closed meanwhile.
  }
}
