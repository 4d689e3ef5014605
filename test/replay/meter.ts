/** Counts what replicas give to the network: the bytes of every message given to a channel of a metered transport, on whichever side. */
import type { Channel, Transport } from '@weft-db/engine'

export class Meter {
  bytes = 0
  messages = 0

  transport(inner: Transport): Transport {
    return {
      start: (onChannel) => inner.start((channel) => onChannel(this.#channel(channel))),
      stop: () => inner.stop(),
    }
  }

  #channel(inner: Channel): Channel {
    return {
      remote: inner.remote,
      initiator: inner.initiator,
      get buffered() {
        return inner.buffered
      },
      send: (message) => {
        this.bytes += message.byteLength
        this.messages++
        inner.send(message)
      },
      close: (reason) => inner.close(reason),
      listen: (listener) => inner.listen(listener),
    }
  }
}
