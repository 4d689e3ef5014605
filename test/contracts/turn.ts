/** A TURN server that lets nobody in: it asks for credentials (RFC 8656), and refuses whatever it is given. */
import { createSocket } from 'node:dgram'

export const refusingTurn = async (): Promise<{ readonly url: string; end(): Promise<void> }> => {
  const socket = createSocket('udp4')
  socket.on('message', (request, from) => {
    if (request.length < 20 || request.readUInt16BE(0) !== allocate) return
    const attributes = [
      attribute(0x0009, Buffer.from([0, 0, 4, 1, ...Buffer.from('Unauthorized')])),
      attribute(0x0014, Buffer.from('weft.example')),
      attribute(0x0015, Buffer.from('0123456789abcdef')),
    ]
    const body = Buffer.concat(attributes)
    const head = Buffer.alloc(4)
    head.writeUInt16BE(allocate | 0x0110, 0)
    head.writeUInt16BE(body.length, 2)
    socket.send(Buffer.concat([head, request.subarray(4, 20), body]), from.port, from.address)
  })
  await new Promise<void>((resolve) => void socket.bind(0, '127.0.0.1', resolve))
  return {
    url: `turn:127.0.0.1:${socket.address().port}?transport=udp`,
    end: () => new Promise((resolve) => void socket.close(() => resolve())),
  }
}

const allocate = 0x0003

const attribute = (type: number, value: Buffer): Buffer => {
  const head = Buffer.alloc(4)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(value.length, 2)
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)])
}
