export { type BuiltPart, built, cacheFolder, partFolder, type Recipe } from './build/cache.ts';
export { KAFKA_VERSION, kafkaLibs, kafkaRecipe } from './build/kafka.ts';
export { type KafkaOptions, type KafkaPlan, kafkaPlan, startKafka } from './server/kafka.ts';
export { checkKafka } from './server/kafka-check.ts';
export { lastLines } from './server/log-tail.ts';
export type { ServerPlan } from './server/plan.ts';
export { connectOnce, freePorts, takenPorts } from './server/ports.ts';
export { ServerProcess } from './server/process.ts';
