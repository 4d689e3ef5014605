/** Writing whole files through the `Files` port. */
import { type File, type Files, StorageError } from '@weft-db/engine'

export const mustOpen = async (files: Files, name: string): Promise<File> => {
  const file = await files.open(name, true)
  if (file === undefined) throw new StorageError('DiskError', name)
  return file
}

/** Continues short writes. */
export const writeAll = async (file: File, offset: number, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.length; ) {
    const count = await file.write(offset + written, written === 0 ? bytes : bytes.subarray(written))
    if (count <= 0) throw new StorageError('DiskError', 'nothing was written')
    written += count
  }
}

/** The file holds these bytes, whatever it held, and they last; its name lasts after `syncNames`. */
export const writeWhole = async (files: Files, name: string, bytes: Uint8Array): Promise<void> => {
  await files.remove(name)
  const file = await mustOpen(files, name)
  try {
    await writeAll(file, 0, bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}
