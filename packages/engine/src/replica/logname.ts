import { encodeUtf8, toHex } from '../bytes/bytes.ts'
import type { Runtime } from './ports.ts'

/** A log's file: names are hashes, so that no path decides where bytes go. */
export const logName = (path: string, runtime: Runtime): string => `${toHex(runtime.hash(encodeUtf8(path)))}.log`
