"""What the letters of hospital clinics say.

Comes in: the shape of a letter's text. Goes out: `HOSPITAL_TEXTS` by department. Must not know: people, PDF, FHIR.
"""

from __future__ import annotations

from seed_data.letter_texts import SEEN, LetterText

HOSPITAL_TEXTS: dict[str, LetterText] = {
    "cardiology": LetterText(
        title="Cardiology outpatient letter",
        openings=SEEN,
        findings=(
            (
                "Your heart tracing was unchanged and the scan shows that your heart pumps a little better than "
                "last year. You can walk further on the flat before you need to stop, and your ankles are less "
                "swollen in the evening."
            ),
            (
                "Your pulse was irregular but well controlled at 72 beats a minute. You have had no dizzy spells "
                "and no bleeding, and you take your anticoagulant every day."
            ),
            "The 24-hour recording showed no pauses. Your blood pressure in the clinic was 132 over 78.",
        ),
        plans=(
            (
                "Please keep weighing yourself each morning. If you gain more than 2 kg in three days, call the "
                "heart failure nurse. I would like to see you again in {months} months. Please bring a list of the "
                "medicines you take."
            ),
            (
                "We agreed to leave your tablets as they are. A blood test for your kidneys is due in six weeks at "
                "your practice."
            ),
            (
                "I have asked for another echocardiogram before we meet again. I would like to see you again in "
                "{months} months. Please bring a list of the medicines you take."
            ),
        ),
    ),
    "diabetes": LetterText(
        title="Diabetes clinic letter",
        openings=SEEN,
        findings=(
            (
                "Your HbA1c has come down again, which is a real achievement. You check your feet every day and "
                "have no numbness. Your eye screening this year showed no change that needs treatment."
            ),
            (
                "Your home readings are mostly between 5 and 9. You have had two mild low readings, both after "
                "exercise, and you knew what to do."
            ),
            (
                "We looked at your kidneys, cholesterol and blood pressure. The small amount of protein in the "
                "urine is stable."
            ),
        ),
        plans=(
            (
                "Please continue your medicines. We talked about having a snack before long walks. I would like to "
                "see you again in {months} months. Please bring a list of the medicines you take."
            ),
            "I suggest that we aim for an HbA1c below 53 mmol/mol. The dietitian will contact you with a date.",
            (
                "Your practice nurse will repeat the blood tests in {months} months. We discharge you to your "
                "practice's care if they remain good."
            ),
        ),
    ),
    "renal": LetterText(
        title="Kidney clinic letter",
        openings=SEEN,
        findings=(
            (
                "Your kidney function has fallen slowly over the past years. You feel well and have no swelling or "
                "itching."
            ),
            "Your eGFR was a little lower than at the last visit, in line with the trend. Potassium is normal.",
            (
                "There is more albumin in the urine than we would like. Your blood pressure at home averages 138 "
                "over 80."
            ),
        ),
        plans=(
            (
                "Please avoid anti-inflammatory painkillers such as ibuprofen. I would like to see you again in "
                "{months} months. Please bring a list of the medicines you take."
            ),
            (
                "I have asked your practice to check urea and electrolytes every three months and to tell us if "
                "potassium rises."
            ),
            (
                "We talked about what would happen if your kidneys became weaker. There is no need for any decision"
                " now. I would like to see you again in {months} months. Please bring a list of the medicines you "
                "take."
            ),
        ),
    ),
    "respiratory": LetterText(
        title="Respiratory clinic letter",
        openings=SEEN,
        findings=(
            "Your breathing test was slightly better than last year. You needed one course of steroids this winter.",
            "You use the blue inhaler about twice a week and are not woken at night. Your inhaler technique is good.",
            "Your oxygen level was 96% at rest. The chest X-ray was clear.",
        ),
        plans=(
            (
                "Please keep your rescue pack at home and tell your practice when you use it. I would like to see "
                "you again in {months} months. Please bring a list of the medicines you take."
            ),
            "I have referred you for pulmonary rehabilitation: six weeks of exercise and advice in a group.",
            (
                "Please use the preventer inhaler every day, also when you feel well. I would like to see you again"
                " in {months} months. Please bring a list of the medicines you take."
            ),
        ),
    ),
    "rheumatology": LetterText(
        title="Rheumatology clinic letter",
        openings=SEEN,
        findings=(
            (
                "The morning stiffness in your hands now lasts about twenty minutes. Two finger joints were tender "
                "and none was swollen."
            ),
            (
                "Your inflammation marker is back to normal and you feel that the tablets suit you, apart from a "
                "day of tiredness."
            ),
            "Ultrasound of the wrists shows no new damage.",
        ),
        plans=(
            (
                "Please continue methotrexate once a week with folic acid on another day, and have your blood test "
                "every three months."
            ),
            (
                "We agreed to keep the dose and to review it in {months} months. Call the advice line if you have a"
                " flare."
            ),
        ),
    ),
    "haematology": LetterText(
        title="Haematology clinic letter",
        openings=SEEN,
        findings=(
            (
                "Your haemoglobin has recovered and your iron stores are filling up. You are less tired and can "
                "climb stairs again."
            ),
            (
                "The camera tests of the stomach and bowel found no bleeding. We think that heavy periods and diet "
                "explain the anaemia."
            ),
            "You had one infusion of iron without problems.",
        ),
        plans=(
            (
                "Please take the iron tablet once a day for another three months. Your practice will check the "
                "count after that."
            ),
            "No further appointment is needed if the next count is normal. We are glad to see you again if it falls.",
        ),
    ),
    "neurology": LetterText(
        title="Neurology clinic letter",
        openings=SEEN,
        findings=(
            (
                "You have had no seizure for ten months. You sleep well and take lamotrigine twice a day without "
                "missing doses."
            ),
            "There was one brief absence in the spring after a short night. The brain scan was normal.",
        ),
        plans=(
            (
                "Please tell the driving licence authority about any seizure. We did not change your medicine. I "
                "would like to see you again in {months} months. Please bring a list of the medicines you take."
            ),
            (
                "We talked about sleep, alcohol and safety in the bath. The epilepsy nurse can be reached by "
                "telephone. I would like to see you again in {months} months. Please bring a list of the medicines "
                "you take."
            ),
        ),
    ),
    "maternity": LetterText(
        title="Antenatal clinic letter",
        openings=SEEN,
        findings=(
            (
                "Your baby is growing as expected and the heartbeat was strong. Your blood pressure and urine were "
                "normal."
            ),
            "The scan at twenty weeks was reassuring. Your iron is a little low, which is common at this stage.",
        ),
        plans=(
            "Please take one iron tablet every other day with orange juice. The midwife will see you in four weeks.",
            (
                "You would like to give birth in the midwife-led unit, and I see no reason against it. Please call "
                "triage if the baby moves less than usual."
            ),
        ),
    ),
    "breast": LetterText(
        title="Breast clinic letter",
        openings=SEEN,
        findings=(
            "I am pleased to say that this year's mammogram shows no sign of the cancer coming back.",
            "You are three years on from your operation. The scar is comfortable and your arm moves freely.",
        ),
        plans=(
            (
                "Please continue tamoxifen. Hot flushes may ease if you take it in the evening. I would like to see"
                " you again in {months} months. Please bring a list of the medicines you take."
            ),
            "Your next mammogram is in twelve months. The breast care nurse is there for you in the meantime.",
        ),
    ),
    "paediatrics": LetterText(
        title="Children's clinic letter",
        openings=(
            "I saw {given} with a parent in the children's clinic on {when}.",
            "{given} came for a follow-up on {when} and was cheerful and active.",
        ),
        findings=(
            (
                "Growth follows the same line on the chart. Heart and lungs sounded normal and development is right"
                " for the age."
            ),
            "The cough at night has settled and school has not been missed. The spacer is used well.",
            "The rash has cleared with the moisturiser. Eating and sleeping are no longer a worry.",
        ),
        plans=(
            "We did not arrange another appointment. Please come back to us through your GP if you are worried.",
            "Please keep using the treatment as it is. I would like to see {given} again in {months} months.",
        ),
    ),
    "emergency": LetterText(
        title="Emergency department discharge letter",
        openings=(
            "{given} attended the emergency department on {when} and went home the same day.",
            (
                "{given} was brought to the emergency department by ambulance on {when} and stayed one night for "
                "observation."
            ),
        ),
        findings=(
            (
                "The complaint was breathlessness since the day before. Blood tests, heart tracing and X-ray showed"
                " no new disease."
            ),
            (
                "The complaint was a fall at home with a bruised hip. There is no fracture and walking was steady "
                "before leaving."
            ),
            "The complaint was chest pain, which settled. Two heart enzyme tests three hours apart were normal.",
        ),
        plans=(
            "Treatment was given and no medicine was changed. Please see your practice within a week.",
            "We ask the practice to repeat the blood tests in ten days. Come back at once if the symptoms return.",
        ),
    ),
}
