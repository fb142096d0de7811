#include "wire/request.h"

#include "wire/control.h"

enum err request_parse(struct request *ret, struct view tlvs)
{
	struct reader r = reader_of(tlvs.data, tlvs.len);
	struct tlv tlv;
	enum err e;
	*ret = (struct request){0};
	while ((e = tlv_next(&r, &tlv)) == OK) {
		if (tlv.type != REQUEST_PAD_MARKS)
			continue; /* a later version's */
		e = padmarks_parse(&ret->pad_marks, tlv.value);
		if (e != OK)
			break;
		ret->has_pad_marks = true;
	}
	if (e == ERR_NOT_FOUND)
		return OK;
	*ret = (struct request){0};
	return e;
}

void request_write(struct writer *w, const struct request *request)
{
	if (request->has_pad_marks)
		padmarks_write(w, REQUEST_PAD_MARKS, &request->pad_marks);
}
