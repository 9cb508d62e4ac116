export { type AdmissionGate, isRefusal, type Permit, type Refusal } from './gate.ts';
export { ADMISSION_SETTINGS, admissionOf } from './settings.ts';
