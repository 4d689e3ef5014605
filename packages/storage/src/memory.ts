/** Files in memory, for tests and for devices that offer no storage. Syncing does nothing: all is lost with the process. */
import { type File, type Files, StorageError } from '@weft-db/engine'
import { checkName } from './name.ts'

interface Content {
  bytes: Uint8Array
  size: number
}

export const memoryFiles = (): Files => {
  const contents = new Map<string, Content>()
  let locked = false
  return {
    readsOnlyStored: true,
    open: async (name, create) => {
      checkName(name)
      let content = contents.get(name)
      if (content === undefined) {
        if (!create) return undefined
        content = { bytes: new Uint8Array(0), size: 0 }
        contents.set(name, content)
      }
      return memoryFile(name, content)
    },
    list: async () => [...contents.keys()].sort(),
    rename: async (from, to) => {
      checkName(to)
      const content = contents.get(from)
      if (content === undefined) throw new StorageError('DiskError', from)
      contents.delete(from)
      contents.set(to, content)
    },
    remove: async (name) => {
      checkName(name)
      contents.delete(name)
    },
    syncNames: async () => undefined,
    lock: async () => {
      if (locked) throw new StorageError('AlreadyOpen')
      locked = true
      let held = true
      return async () => {
        if (held) locked = false
        held = false
      }
    },
  }
}

const memoryFile = (name: string, content: Content): File => {
  let open = true
  const check = (): void => {
    if (!open) throw new StorageError('DiskError', `${name} is closed`)
  }
  return {
    size: async () => {
      check()
      return content.size
    },
    read: async (offset, length) => {
      check()
      return content.bytes.slice(offset, Math.min(offset + length, content.size))
    },
    write: async (offset, bytes) => {
      check()
      resize(content, Math.max(content.size, offset + bytes.length))
      content.bytes.set(bytes, offset)
      return bytes.length
    },
    sync: async () => check(),
    truncate: async (size) => {
      check()
      resize(content, size)
    },
    close: async () => {
      open = false
    },
  }
}

/** Room doubles, so that appending costs what is appended. What lies behind the size is always zero. */
const resize = (content: Content, size: number): void => {
  if (size > content.bytes.length) {
    const bytes = new Uint8Array(Math.max(size, 2 * content.bytes.length))
    bytes.set(content.bytes.subarray(0, content.size))
    content.bytes = bytes
  }
  if (size < content.size) content.bytes.fill(0, size, content.size)
  content.size = size
}
