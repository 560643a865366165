"""What the letters of services outside the hospital say.

Comes in: the shape of a letter's text. Goes out: `COMMUNITY_TEXTS` by department. Must not know: people, PDF, FHIR.
"""

from __future__ import annotations

from seed_data.letter_texts import SEEN, LetterText

COMMUNITY_TEXTS: dict[str, LetterText] = {
    "physiotherapy": LetterText(
        title="Physiotherapy letter",
        openings=SEEN,
        findings=(
            "Your knee bends further than a month ago and you climb stairs one foot after the other.",
            "Your lower back pain eases with movement. Strength and feeling in both legs are normal.",
            "Your shoulder is stiff when you reach behind you, and less painful at night.",
        ),
        plans=(
            "Please do the four exercises on your sheet every day. We meet again in six weeks.",
            "You are discharged with a home programme. You can refer yourself again within three months.",
        ),
    ),
    "community-nursing": LetterText(
        title="Community nursing letter",
        openings=(
            "We visited {given} at home on {when}.",
            "This is a summary of our home visits up to {when}.",
        ),
        findings=(
            "The leg wound is smaller and clean. The pressure areas are intact and the mattress works well.",
            "Blood pressure lying and standing was steady. The walking frame is used indoors.",
        ),
        plans=(
            "We will dress the wound twice a week and measure it again in a month.",
            "We visit once a month. Please call the single point of access if something changes.",
        ),
    ),
    "sexual-health": LetterText(
        title="Sexual health clinic letter",
        openings=(
            (
                "Thank you for coming to the sexual health clinic on {when}. As you asked, this letter is sent to "
                "you only."
            ),
            "We saw you in the sexual health clinic on {when}. Your visit is confidential.",
        ),
        findings=(
            "The infection found earlier has been treated and your test is now clear.",
            (
                "Your check-up tests were all negative. We talked about contraception and you chose to continue as "
                "before."
            ),
            "We talked about your treatment and how you feel. The blood tests we took together were satisfactory.",
        ),
        plans=(
            "No further visit is needed unless you wish. You can book a check-up online at any time.",
            (
                "Please come back in {months} months for a routine check. You can call the clinic without giving a "
                "reason."
            ),
        ),
    ),
    "adult-mental-health": LetterText(
        title="Mental health review letter",
        openings=SEEN,
        findings=(
            (
                "Your mood has been steadier over the past months. You sleep six to seven hours and enjoy music "
                "again. You have no thoughts of harming yourself."
            ),
            (
                "The winter was hard and you felt low and tired, with worries in the early morning. You were able "
                "to ask for help, which took courage."
            ),
            "You have kept your diary and recognise early warning signs. Your family is a support to you.",
        ),
        plans=(
            "We agreed to keep your medicine at the same dose, and to continue talking therapy every two weeks.",
            (
                "Your crisis plan is unchanged: call the crisis line on the number you have, day or night. I would "
                "like to see you again in {months} months. Please bring a list of the medicines you take."
            ),
            (
                "I suggest a gradual return to work with shorter days. I have written a note for you. I would like "
                "to see you again in {months} months. Please bring a list of the medicines you take."
            ),
        ),
    ),
    "older-mental-health": LetterText(
        title="Memory service letter",
        openings=(
            "We met {given} and a family member in the memory clinic on {when}.",
            "Our team visited {given} at home on {when} to see how things are going.",
        ),
        findings=(
            (
                "Memory for recent events is weaker than a year ago. Familiar tasks at home still go well with a "
                "reminder."
            ),
            "The tablets are taken each evening without side effects. Mood is good and walks are enjoyed.",
        ),
        plans=(
            "We suggest a day centre twice a week and a carer's assessment. The next review is in {months} months.",
            (
                "We talked about a lasting power of attorney and left a leaflet. Please call us if there is "
                "distress or wandering."
            ),
        ),
    ),
    "social-work": LetterText(
        title="Care and support assessment",
        openings=(
            "I visited {given} at home on {when} for a care and support assessment.",
            "This letter sums up the review of the care and support plan of {given} on {when}.",
        ),
        findings=(
            "Washing and dressing need help in the morning. Meals can be prepared when the shopping is brought in.",
            "Support at home twice a week gives the family time to rest. The alarm pendant is worn and works.",
        ),
        plans=(
            "We agreed on visits in the morning and a key safe at the door. The plan is reviewed once a year.",
            "I have asked for a grab rail and a bath seat. A financial assessment will follow by separate letter.",
        ),
    ),
    "practice": LetterText(
        title="Letter from your GP practice",
        openings=(
            "Thank you for coming to the practice on {when}.",
            "This is a summary of your yearly review on {when}.",
        ),
        findings=(
            "We went through your medicines and your recent blood tests, and your blood pressure was taken.",
            "We talked about your general health, sleep and exercise. Nothing new was found on examination.",
        ),
        plans=(
            "Please book a blood test with the nurse in {months} months. Repeat prescriptions continue as before.",
            "No change is needed. Your next review is due in a year, and you can contact us before that at any time.",
        ),
    ),
}
