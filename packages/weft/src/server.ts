export { type ServeOptions, type Server, serve } from '@weft-db/server'
