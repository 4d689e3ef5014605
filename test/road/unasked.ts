/** A line on which some questions get lost: whoever would have answered them does not hear of them. */
import type { Channel, Transport } from '@weft-db/engine'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { decodeFrame, encodeFrame } from '../../packages/engine/src/replica/wire.ts'

/** As `sync/message.ts` numbers it. */
const recall = 18

/** What goes out is numbered anew, so that nothing seems to be missing. */
const unasked = (channel: Channel, isLost: () => boolean): Channel => {
  let [taken, sent] = [0, 0]
  return {
    remote: channel.remote,
    initiator: channel.initiator,
    get buffered() {
      return channel.buffered
    },
    send: (bytes) => {
      const frame = decodeFrame(bytes, taken++)
      if (isRefusal(frame)) throw new Error(`${frame.code} ${frame.about}`)
      const isQuestion = frame.kind === 'sync' && Array.isArray(frame.message) && frame.message[0] === recall
      if (!isQuestion || !isLost()) channel.send(encodeFrame(sent++, frame))
    },
    close: (reason) => channel.close(reason),
    listen: (listener) => channel.listen(listener),
  }
}

/** Requests for the history of an item get lost while `isLost` says so. */
export const withoutRecalls = (transport: Transport, isLost: () => boolean): Transport => ({
  start: (onChannel) => transport.start((channel) => onChannel(unasked(channel, isLost))),
  stop: () => transport.stop(),
})
