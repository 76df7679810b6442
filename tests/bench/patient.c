#include "patient.h"

#include <stdio.h>

#include "wire/doc.h"

#define DAY_MS 86400000

static const char *const names[] = {"Bobby Jackson", "Leslie Terry", "Danny Smith", "Andrew Watts",
	"Adrienne Bell", "Emily Johnson", "Edward Edwards", "Christina Martinez"};
static const char *const blood_types[] = {"A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-"};
static const char *const conditions[] = {
	"Cancer", "Obesity", "Diabetes", "Asthma", "Hypertension", "Arthritis"};
static const char *const medications[] = {
	"Paracetamol", "Ibuprofen", "Aspirin", "Penicillin", "Lipitor"};
static const char *const results[] = {"Normal", "Inconclusive", "Abnormal"};
static const char *const admissions[] = {"Urgent", "Emergency", "Elective"};
static const char *const doctors[] = {
	"Matthew Smith", "Samantha Davies", "Tiffany Mitchell", "Kevin Wells"};
static const char *const hospitals[] = {
	"Sons and Miller", "Kim Inc", "Cook PLC", "Hernandez Rogers and Vang"};
static const char *const insurers[] = {
	"Blue Cross", "Medicare", "Aetna", "UnitedHealthcare", "Cigna"};

#define PICK(list, i) bytes_str((list)[(i) % COUNT_OF(list)])

static void put_personal(struct buf *out, uint32_t i)
{
	size_t begun = doc_put_document(out, NAME("personal_info"));
	char ssn[16];

	doc_put_string(out, NAME("name"), PICK(names, i));
	doc_put_int32(out, NAME("age"), 18 + (int32_t)(i * 7 % 70));
	doc_put_string(out, NAME("gender"), bytes_str(i % 2 ? "Male" : "Female"));
	doc_put_string(out, NAME("blood_type"), PICK(blood_types, i));
	snprintf(ssn, sizeof(ssn), "%015u", 285057800 + i);
	doc_put_string(out, NAME("ssn"), bytes_str(ssn));
	doc_end(out, begun);
}

static void put_medical(struct buf *out, uint32_t i)
{
	size_t begun = doc_put_document(out, NAME("medical_info"));

	doc_put_string(out, NAME("condition"), PICK(conditions, i));
	doc_put_string(out, NAME("medication"), PICK(medications, i));
	doc_put_string(out, NAME("test_results"), PICK(results, i));
	doc_end(out, begun);
}

static void put_admission(struct buf *out, uint32_t i)
{
	size_t begun = doc_put_document(out, NAME("admission_info"));
	const int64_t admitted_ms = (int64_t)(18000 + i % 1800) * DAY_MS;
	const int32_t days = 1 + (int32_t)(i % 30);

	doc_put_date(out, NAME("date_admission"), admitted_ms);
	doc_put_date(out, NAME("date_discharge"), admitted_ms + (int64_t)days * DAY_MS);
	doc_put_int32(out, NAME("duration_days"), days);
	doc_put_string(out, NAME("admission_type"), PICK(admissions, i));
	doc_put_int32(out, NAME("room_number"), 101 + (int32_t)(i % 400));
	doc_end(out, begun);
}

static void put_administrative(struct buf *out, uint32_t i)
{
	size_t begun = doc_put_document(out, NAME("administrative_info"));

	doc_put_string(out, NAME("doctor"), PICK(doctors, i));
	doc_put_string(out, NAME("hospital"), PICK(hospitals, i));
	doc_put_string(out, NAME("insurance_provider"), PICK(insurers, i));
	doc_put_double(out, NAME("billing_amount"), 1000 + (i * 37 % 50000) + 0.25);
	doc_end(out, begun);
}

static void put_metadata(struct buf *out)
{
	size_t begun = doc_put_document(out, NAME("metadata"));

	doc_put_date(out, NAME("created_at"), (int64_t)20000 * DAY_MS);
	doc_put_string(out, NAME("source"), bytes_str("csv_migration"));
	doc_put_string(out, NAME("migration_version"), bytes_str("1.0"));
	doc_put_string(out, NAME("migration_date"), bytes_str("2026-11-23"));
	doc_end(out, begun);
}

void patient_put(struct buf *out, uint32_t i)
{
	uint8_t id[OBJECT_ID_LEN] = {0x69, 0x23, 0x0f, 0x80, 0x5a, 0x11, 0x5c, 0x7e};
	size_t begun = doc_begin(out);

	store_u32(id + 8, i);
	doc_put_value(out, TYPE_OBJECT_ID, NAME("_id"), bytes_of(id, sizeof(id)));
	put_personal(out, i);
	put_medical(out, i);
	put_admission(out, i);
	put_administrative(out, i);
	put_metadata(out);
	doc_end(out, begun);
}
